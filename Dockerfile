# The binary needs the C library alone; the image holds it and nothing else that runs.
FROM rust:1.95-bookworm AS build
WORKDIR /tapline
COPY . .
RUN cargo build --release --locked --bin tapline \
    && strip --strip-debug target/release/tapline \
    && mkdir /data

FROM gcr.io/distroless/base-debian12:nonroot
COPY --from=build /tapline/target/release/tapline /usr/local/bin/tapline
COPY --from=build --chown=nonroot:nonroot /data /data
COPY LICENSE /usr/share/doc/tapline/LICENSE
VOLUME /data
# REST, and the embedded broker
EXPOSE 8083 9092
STOPSIGNAL SIGTERM
ENTRYPOINT ["tapline"]
CMD ["worker", "/etc/tapline/worker.properties", "--data-dir", "/data"]
