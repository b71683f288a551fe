//! What is said with every answer of REST, and over what: browsers of other origins, further headers, `OPTIONS`, https.
//! The expected headers are those of a Kafka Connect 4.3.1 with the same properties.

use std::fs;
use std::process::Command;

use tapline_harness::{Worker, folder, free_port};

use crate::TAPLINE;

/// `curl -i`: headers in lower case, then the body.
fn curl(args: &[&str]) -> String {
    let output = Command::new("curl")
        .args(["-s", "-S", "-i", "-m", "20"])
        .args(args)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success(),
        "{args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    format!("{}\n{body}", head.to_lowercase().replace('\r', ""))
}

fn has(answer: &str, lines: &[&str]) {
    for line in lines {
        assert!(answer.lines().any(|l| l == *line), "no {line:?} in:\n{answer}");
    }
}

#[test]
fn browsers_hear_what_the_worker_allows_and_everyone_its_headers() {
    let worker = Worker::start(
        TAPLINE,
        &[
            ("access.control.allow.origin", "http://a.example"),
            ("access.control.allow.methods", "GET,PUT"),
            (
                "response.http.headers.config",
                "set X-One: 1, \"add Cache-Control: no-cache, no-store\"",
            ),
        ],
        &[],
    );
    let url = format!("http://{}/connectors", worker.address());
    let always = ["vary: origin", "x-one: 1", "cache-control: no-cache, no-store"];

    let known = curl(&["-H", "Origin: http://a.example", &url]);
    has(
        &known,
        &[
            "http/1.1 200 ok",
            "access-control-allow-origin: http://a.example",
            "[]",
        ],
    );
    has(&known, &always);
    let stranger = curl(&["-H", "Origin: http://evil.example", &url]);
    has(&stranger, &always);
    assert!(!stranger.contains("access-control-"), "{stranger}");
    let preflight = curl(&[
        "-X",
        "OPTIONS",
        "-H",
        "Origin: http://a.example",
        "-H",
        "Access-Control-Request-Method: DELETE",
        &url,
    ]);
    has(
        &preflight,
        &[
            "access-control-allow-origin: http://a.example",
            "access-control-allow-methods: get,put",
            "access-control-allow-headers: content-type",
            "access-control-max-age: 60",
            "allow: head,post,get,options",
            "content-type: text/plain",
            "HEAD, POST, GET, OPTIONS",
        ],
    );
    let nowhere = curl(&["-X", "OPTIONS", &format!("http://{}/nope", worker.address())]);
    has(&nowhere, &["http/1.1 404 not found", "x-one: 1"]);
    let offsets = curl(&["-X", "OPTIONS", &format!("{url}/x/offsets")]);
    has(&offsets, &["HEAD, DELETE, GET, OPTIONS, PATCH"]);
}

#[test]
fn rest_speaks_tls() {
    let dir = folder("https");
    let (key, certificate, store) = (dir.join("key.pem"), dir.join("cert.pem"), dir.join("store.pem"));
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=127.0.0.1",
        ])
        .args(["-addext", "subjectAltName=IP:127.0.0.1", "-keyout"])
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .output()
        .unwrap();
    assert!(made.status.success());
    let both = fs::read_to_string(&key).unwrap() + &fs::read_to_string(&certificate).unwrap();
    fs::write(&store, both).unwrap();
    let secure = free_port();
    let listener = format!("https://127.0.0.1:{secure}");
    // the listener of the admin endpoints has these options too
    let worker = Worker::start(
        TAPLINE,
        &[
            ("admin.listeners", &listener),
            ("listeners.https.ssl.keystore.type", "PEM"),
            ("listeners.https.ssl.keystore.location", store.to_str().unwrap()),
            ("listeners.https.ssl.truststore.type", "PEM"),
            (
                "listeners.https.ssl.truststore.location",
                certificate.to_str().unwrap(),
            ),
            ("listeners.https.ssl.client.auth", "requested"),
        ],
        &[],
    );
    let url = format!("{listener}/admin/loggers");
    let trusting = ["--cacert", certificate.to_str().unwrap(), &url];
    has(&curl(&trusting), &["http/1.1 200 ok"]);
    let elsewhere = curl(&[&format!("http://{}/admin/loggers", worker.address())]);
    has(&elsewhere, &["http/1.1 404 not found"]);
    // whoever speaks no TLS there is turned away, and holds nobody up
    let _silent = std::net::TcpStream::connect(("127.0.0.1", secure)).unwrap();
    let plain = url.replace("https:", "http:");
    let refused = Command::new("curl").args(["-s", "-m", "20", &plain]).status();
    assert!(!refused.unwrap().success());
    has(&curl(&trusting), &["http/1.1 200 ok"]);
    let stranger = Command::new("curl").args(["-s", "-m", "20", &url]).status();
    assert!(!stranger.unwrap().success(), "a certificate that nobody knows");
}
