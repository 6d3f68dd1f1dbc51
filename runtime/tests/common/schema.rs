//! Checks a report against the published schema.
#![allow(dead_code, reason = "each test file uses a part of it")]

use serde_json::Value;

/// The schema of incident reports, as the documentation publishes it.
pub fn incident() -> Value {
    read("incident.schema.json")
}

/// The schema of dumps.
pub fn dump() -> Value {
    read("dump.schema.json")
}

fn read(name: &str) -> Value {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/src/reference").join(name);
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The first place where `value` breaks the schema. Knows the keywords that the published schemas use: `const`, `enum`, `type`,
/// `required`, `properties`, `additionalProperties: false`, `items`; any other keyword is refused, for it would check nothing.
pub fn check(schema: &Value, value: &Value, place: &str) -> Result<(), String> {
    let fail = |what: &str| Err(format!("{place}: {what}: {value}"));
    known(schema)?;
    if schema.get("const").is_some_and(|expected| expected != value) {
        return fail("another constant");
    }
    if schema.get("enum").is_some_and(|list| !list.as_array().unwrap().contains(value)) {
        return fail("not in the list");
    }
    if schema.get("type").is_some_and(|kind| !is(kind, value)) {
        return fail("another type");
    }
    if let Some(object) = value.as_object() {
        let properties = schema.get("properties").and_then(Value::as_object);
        for name in schema.get("required").and_then(Value::as_array).into_iter().flatten() {
            if !object.contains_key(name.as_str().unwrap()) {
                return fail(&format!("{name} is missing"));
            }
        }
        for (name, value) in object {
            match properties.and_then(|properties| properties.get(name)) {
                Some(schema) => check(schema, value, &format!("{place}.{name}"))?,
                None if schema.get("additionalProperties") == Some(&Value::Bool(false)) => return fail(&format!("{name} is unknown")),
                None => {}
            }
        }
    }
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        schema.get("items").map_or(Ok(()), |items| check(items, item, &format!("{place}[{index}]")))?;
    }
    Ok(())
}

fn known(schema: &Value) -> Result<(), String> {
    const KNOWN: [&str; 10] =
        ["$schema", "title", "description", "const", "enum", "type", "required", "properties", "additionalProperties", "items"];
    let mut keywords = schema.as_object().into_iter().flat_map(serde_json::Map::keys);
    keywords.find(|keyword| !KNOWN.contains(&keyword.as_str())).map_or(Ok(()), |keyword| Err(format!("the schema uses `{keyword}`")))
}

fn is(kind: &Value, value: &Value) -> bool {
    match kind {
        Value::Array(kinds) => kinds.iter().any(|kind| is(kind, value)),
        _ => match kind.as_str().unwrap() {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "integer" => value.is_u64() || value.is_i64(),
            "number" => value.is_number(),
            "boolean" => value.is_boolean(),
            "null" => value.is_null(),
            other => panic!("the schema uses the type {other}"),
        },
    }
}
