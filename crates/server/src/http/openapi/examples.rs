//! Examples of bodies and answers, put together from the examples of the fields.
//!
//! A handler's types say what a field looks like (`#[schema(example = ..)]`); a whole example is made of these here, so
//! that every operation has one and none of them can grow stale. What has no example of its own gets one that fits its
//! type and format.

use serde_json::{Map, Value, json};

/// An id as it may stand in an example.
const ID: &str = "01936b1e-7a40-7c3e-8b5e-2f6d1c0a9e77";
/// A moment as it may stand in an example.
const MOMENT: &str = "2026-11-21T08:30:00.000Z";
/// Schemas inside schemas that are followed.
const DEEPEST: u8 = 12;

/// Gives the JSON body and the JSON answers of an operation an example, unless they have one.
pub(super) fn complete(operation: &mut Value, schemas: &Value) {
    let mut contents: Vec<&mut Value> = Vec::new();
    if let Some(object) = operation.as_object_mut() {
        for (name, part) in object.iter_mut() {
            match name.as_str() {
                "requestBody" => contents.push(part),
                "responses" => contents.extend(part.as_object_mut().into_iter().flat_map(|answers| answers.values_mut())),
                _ => {}
            }
        }
    }
    for part in contents {
        for (_, content) in part.get_mut("content").and_then(Value::as_object_mut).into_iter().flatten() {
            if content.get("schema").is_some() && content.get("example").is_none() && content.get("examples").is_none() {
                let example = of_schema(&content["schema"], schemas, 0);
                if example.is_object() {
                    content["example"] = example;
                }
            }
        }
    }
}

/// An example of a schema.
fn of_schema(schema: &Value, schemas: &Value, depth: u8) -> Value {
    if depth > DEEPEST {
        return Value::Null;
    }
    let inside = |schema: &Value| of_schema(schema, schemas, depth + 1);
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        return inside(&schemas[name]);
    }
    for field in ["example", "const"] {
        if let Some(value) = schema.get(field) {
            return value.clone();
        }
    }
    if let Some(first) = schema["examples"].as_array().and_then(|all| all.first()) {
        return first.clone();
    }
    if let Some(first) = schema["enum"].as_array().and_then(|all| all.first()) {
        return first.clone();
    }
    if let Some(parts) = schema["allOf"].as_array() {
        return parts.iter().map(inside).chain([of_object(schema, inside)]).fold(json!({}), merged);
    }
    let choices = schema["oneOf"].as_array().or_else(|| schema["anyOf"].as_array());
    if let Some(choice) = choices.and_then(|choices| choices.iter().find(|choice| choice["type"] != "null")) {
        return inside(choice);
    }
    match type_of(schema) {
        "object" => of_object(schema, inside),
        "array" => json!([inside(&schema["items"])]),
        "string" => of_text(schema),
        "integer" => schema.get("default").or(schema.get("minimum")).cloned().unwrap_or(json!(1)),
        "number" => schema.get("default").or(schema.get("minimum")).cloned().unwrap_or(json!(1.0)),
        "boolean" => schema.get("default").cloned().unwrap_or(json!(true)),
        _ => json!({}),
    }
}

/// The type of a schema, nullable or not.
fn type_of(schema: &Value) -> &str {
    match &schema["type"] {
        Value::String(name) => name,
        Value::Array(names) => names.iter().filter_map(Value::as_str).find(|name| *name != "null").unwrap_or("null"),
        _ if schema.get("properties").is_some() => "object",
        _ => "",
    }
}

fn of_object(schema: &Value, inside: impl Fn(&Value) -> Value) -> Value {
    let fields = schema["properties"].as_object().into_iter().flatten();
    Value::Object(fields.map(|(name, field)| (name.clone(), inside(field))).collect::<Map<_, _>>())
}

fn of_text(schema: &Value) -> Value {
    match schema["format"].as_str().unwrap_or_default() {
        "uuid" => json!(ID),
        "date-time" => json!(MOMENT),
        "date" => json!("2026-11-21"),
        "uri" => json!("https://example.com/"),
        "binary" => json!("(bytes)"),
        "password" => json!("correct horse battery"),
        _ => schema.get("default").cloned().unwrap_or(json!("text")),
    }
}

fn merged(mut one: Value, other: Value) -> Value {
    if let (Some(one), Value::Object(other)) = (one.as_object_mut(), other) {
        one.extend(other);
    }
    one
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_example_is_made_of_the_examples_of_the_fields() {
        let schemas = json!({
            "Inner": {"type": "object", "properties": {"id": {"type": "string", "format": "uuid"}, "name": {"type": "string", "example": "anna"}}},
            "Outer": {"type": "object", "properties": {
                "inner": {"$ref": "#/components/schemas/Inner"},
                "maybe": {"oneOf": [{"type": "null"}, {"$ref": "#/components/schemas/Inner"}]},
                "list": {"type": "array", "items": {"type": ["integer", "null"], "minimum": 3}},
                "whole": {"allOf": [{"$ref": "#/components/schemas/Inner"}, {"type": "object", "properties": {"key": {"type": "string", "example": "sk_"}}}]},
            }},
        });
        let inner = json!({"id": ID, "name": "anna"});
        let whole = json!({"id": ID, "name": "anna", "key": "sk_"});
        let found = of_schema(&json!({"$ref": "#/components/schemas/Outer"}), &schemas, 0);
        assert_eq!(found, json!({"inner": inner, "maybe": inner, "list": [3], "whole": whole}));
    }

    #[test]
    fn a_schema_that_holds_itself_ends() {
        let schemas = json!({"Tree": {"type": "object", "properties": {"branches": {"type": "array", "items": {"$ref": "#/components/schemas/Tree"}}}}});
        assert!(of_schema(&schemas["Tree"], &schemas, 0).is_object());
    }
}
