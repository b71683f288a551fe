//! `numeric` and `money`, as `decimal.handling.mode` says.

use bytes::Bytes;
use tapline_api::schema::{SchemaBuilder, logical};
use tapline_api::{Schema, Struct, Value};

use super::{Mapping, TypeModes, named, unbound};
use crate::config::DecimalMode;
use crate::value::Decoder;

impl TypeModes {
    pub(super) fn numeric(&self, modifier: i32) -> Mapping {
        let scaled = (modifier >= 4).then(|| {
            let packed = (modifier - 4).cast_unsigned();
            (packed >> 16 & 0xFFFF, packed & 0xFFFF)
        });
        match (self.decimal, scaled) {
            (DecimalMode::Double, _) => {
                Mapping::new(Schema::float64(), Decoder::DecimalDouble, Value::Float64(0.0))
            }
            (DecimalMode::String, _) => {
                let scale = scaled.map(|(_, scale)| scale);
                let zero = match scale {
                    Some(digits) if digits > 0 => format!("0.{}", "0".repeat(digits as usize)),
                    _ => "0".to_owned(),
                };
                Mapping::new(Schema::string(), Decoder::DecimalText { scale }, zero.into())
            }
            (DecimalMode::Precise, Some((precision, scale))) => {
                let schema = named(Schema::bytes(), logical::DECIMAL)
                    .parameter(logical::SCALE, scale.to_string())
                    .parameter("connect.decimal.precision", precision.to_string());
                Mapping::new(
                    schema,
                    Decoder::Decimal { scale },
                    Value::Bytes(Bytes::from_static(&[0])),
                )
            }
            (DecimalMode::Precise, None) => {
                let schema = variable_scale();
                let zero = vec![Value::Int32(0), Value::Bytes(Bytes::from_static(&[0]))];
                let fallback = Value::Struct(Struct::new(variable_scale().build(), zero));
                Mapping::new(schema, Decoder::VariableDecimal(unbound()), fallback)
            }
        }
    }

    pub(super) fn money(&self) -> Mapping {
        match self.decimal {
            DecimalMode::Double => Mapping::new(Schema::float64(), Decoder::MoneyDouble, Value::Float64(0.0)),
            DecimalMode::String => Mapping::new(Schema::string(), Decoder::MoneyText, "0.00".into()),
            DecimalMode::Precise => {
                let schema = named(Schema::bytes(), logical::DECIMAL)
                    .parameter(logical::SCALE, self.money_scale.to_string());
                let zero = Value::Bytes(Bytes::from_static(&[0]));
                Mapping::new(
                    schema,
                    Decoder::Money {
                        scale: self.money_scale,
                    },
                    zero,
                )
            }
        }
    }
}

fn variable_scale() -> SchemaBuilder {
    named(Schema::structure(), "io.debezium.data.VariableScaleDecimal")
        .doc("Variable scaled decimal")
        .field("scale", Schema::int32().build())
        .field("value", Schema::bytes().build())
}
