//! Parses the JSON text of a schema, with the named types of the schemas that it refers to.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use super::{
    AvroSchema, Branch, Default, Enum, Field, Kind, Node, NodeId, Options, Record, Union, UnionForm, defaults, logical,
};
use crate::error::{SchemaError, shortened};
use crate::json::write_string;
use crate::limits::Limits;

/// `fixed` values of this size and less; Avro's own limit is the memory.
const MAX_FIXED_BYTES: u64 = 16 << 20;

pub(super) fn parse(
    text: &str,
    references: &[&str],
    options: Options,
    limits: Limits,
) -> Result<AvroSchema, SchemaError> {
    limits.check_schema(text, references.iter().copied())?;
    let schema = AvroSchema { nodes: Vec::new(), root: 0, limits };
    let mut parser =
        Parser { schema, options, names: HashMap::new(), full_names: HashMap::new(), defaults: Vec::new() };
    for reference in references {
        parser.document(reference)?;
    }
    parser.schema.root = parser.document(text)?;
    defaults::encode(&mut parser.schema, parser.defaults);
    Ok(parser.schema)
}

/// A default in the form of the schema, until all types are known.
pub(super) struct Pending {
    pub(super) record: NodeId,
    pub(super) field: usize,
    pub(super) value: Value,
}

struct Parser {
    schema: AvroSchema,
    options: Options,
    /// The named types by their full names.
    names: HashMap<String, NodeId>,
    full_names: HashMap<NodeId, Box<str>>,
    defaults: Vec<Pending>,
}

impl Parser {
    fn document(&mut self, text: &str) -> Result<NodeId, SchemaError> {
        // The parser of JSON limits the levels.
        let value =
            serde_json::from_str(text).map_err(|error| SchemaError::new(format!("the schema is not JSON: {error}")))?;
        self.node(&value, "")
    }

    fn push(&mut self, node: Node) -> NodeId {
        self.schema.nodes.push(node);
        self.schema.nodes.len() - 1
    }

    fn push_named(&mut self, name: String, node: Node) -> NodeId {
        let node = self.push(node);
        self.full_names.insert(node, name.as_str().into());
        self.names.insert(name, node);
        node
    }

    fn node(&mut self, schema: &Value, namespace: &str) -> Result<NodeId, SchemaError> {
        match schema {
            Value::String(name) => match primitive(name) {
                Some(base) => {
                    let node = logical::node(base, &Map::new(), self.options);
                    Ok(self.push(node))
                }
                None => self.named(name, namespace),
            },
            Value::Array(branches) => self.union(branches, namespace),
            Value::Object(attributes) => match attributes.get("type") {
                Some(Value::String(name)) => self.complex(name, attributes, namespace),
                Some(inner @ (Value::Object(_) | Value::Array(_))) => self.node(inner, namespace),
                _ => Err(SchemaError::new("a type has no attribute `type`")),
            },
            other => Err(SchemaError::new(format!("{} is no type", shortened(&other.to_string())))),
        }
    }

    /// A type that was declared before.
    fn named(&self, name: &str, namespace: &str) -> Result<NodeId, SchemaError> {
        let full = full_name(name, namespace);
        let found = self.names.get(&full).or_else(|| self.names.get(name)).copied();
        found.ok_or_else(|| {
            SchemaError::new(format!(
                "the type {} is unknown: no reference of the schema declares it",
                shortened(&full)
            ))
        })
    }

    fn complex(&mut self, kind: &str, attributes: &Map<String, Value>, namespace: &str) -> Result<NodeId, SchemaError> {
        match kind {
            "record" | "error" => self.record(attributes, namespace),
            "enum" => self.enumeration(attributes, namespace),
            "fixed" => {
                let (name, _) = self.declare(attributes, namespace)?;
                let size = attributes.get("size").and_then(Value::as_u64).filter(|size| *size <= MAX_FIXED_BYTES);
                let size = size.ok_or_else(|| SchemaError::new(format!("the fixed {name} has no valid size")))?;
                let node = logical::node(Node::Fixed(size as usize), attributes, self.options);
                Ok(self.push_named(name, node))
            }
            "array" | "map" => {
                let key = if kind == "array" { "items" } else { "values" };
                let inner =
                    attributes.get(key).ok_or_else(|| SchemaError::new(format!("the type {kind} has no `{key}`")))?;
                let inner = self.node(inner, namespace)?;
                Ok(self.push(if kind == "array" { Node::Array(inner) } else { Node::Map(inner) }))
            }
            _ => match primitive(kind) {
                Some(base) => {
                    let node = logical::node(base, attributes, self.options);
                    Ok(self.push(node))
                }
                None => self.named(kind, namespace),
            },
        }
    }

    /// The full name of a new type, and its namespace.
    fn declare(&self, attributes: &Map<String, Value>, namespace: &str) -> Result<(String, String), SchemaError> {
        let name = attributes.get("name").and_then(Value::as_str).filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| SchemaError::new("a record, enum or fixed has no name"))?;
        let namespace = attributes.get("namespace").and_then(Value::as_str).unwrap_or(namespace);
        let full = full_name(name, namespace);
        if primitive(&full).is_some() || self.names.contains_key(&full) {
            return Err(SchemaError::new(format!("the type {} is declared twice", shortened(&full))));
        }
        let namespace = full.rsplit_once('.').map_or("", |(namespace, _)| namespace).to_owned();
        Ok((full, namespace))
    }

    fn record(&mut self, attributes: &Map<String, Value>, namespace: &str) -> Result<NodeId, SchemaError> {
        let (name, namespace) = self.declare(attributes, namespace)?;
        // Its fields can contain it.
        let node = self.push_named(name.clone(), Node::Record(Record::default()));
        let fields = attributes.get("fields").and_then(Value::as_array);
        let fields = fields.ok_or_else(|| SchemaError::new(format!("the record {name} has no list of fields")))?;
        let mut record = Record { name: name.into(), ..Record::default() };
        for field in fields {
            self.field(field, &namespace, node, &mut record)?;
        }
        self.schema.nodes[node] = Node::Record(record);
        Ok(node)
    }

    fn field(&mut self, field: &Value, namespace: &str, node: NodeId, record: &mut Record) -> Result<(), SchemaError> {
        let name = field.get("name").and_then(Value::as_str).filter(|name| !name.is_empty());
        let name =
            name.ok_or_else(|| SchemaError::new(format!("a field of the record {} has no name", record.name)))?;
        let kind = field.get("type").ok_or_else(|| {
            SchemaError::new(format!("the field {} of the record {} has no type", shortened(name), record.name))
        })?;
        let index = record.fields.len();
        if record.by_name.insert(name.into(), index).is_some() {
            let reason = format!("the record {} has two fields with the name {}", record.name, shortened(name));
            return Err(SchemaError::new(reason));
        }
        // `{"name": "f", "type": "long", "logicalType": …}` has no logical type: the attribute belongs into the type.
        let kind = self.node(kind, namespace)?;
        // Behind those of the types within.
        if let Some(value) = field.get("default") {
            self.defaults.push(Pending { record: node, field: index, value: value.clone() });
        }
        let mut key = Vec::new();
        write_string(name, &mut key);
        key.push(b':');
        record.fields.push(Field { name: name.into(), key: key.into(), node: kind, default: Default::Missing });
        Ok(())
    }

    fn enumeration(&mut self, attributes: &Map<String, Value>, namespace: &str) -> Result<NodeId, SchemaError> {
        let (name, _) = self.declare(attributes, namespace)?;
        let symbols = attributes.get("symbols").and_then(Value::as_array);
        let symbols = symbols.and_then(|symbols| symbols.iter().map(|symbol| Some(symbol.as_str()?.into())).collect());
        let symbols: Vec<Box<str>> =
            symbols.ok_or_else(|| SchemaError::new(format!("the enum {name} has no symbols")))?;
        let by_name: HashMap<_, _> = symbols.iter().cloned().zip(0..).collect();
        if by_name.len() < symbols.len() {
            return Err(SchemaError::new(format!("the enum {name} has a symbol twice")));
        }
        Ok(self.push_named(name, Node::Enum(Enum { symbols, by_name })))
    }

    fn union(&mut self, branches: &[Value], namespace: &str) -> Result<NodeId, SchemaError> {
        let mut parsed: Vec<Branch> = Vec::new();
        let mut names = HashSet::new();
        for schema in branches {
            let node = self.node(schema, namespace)?;
            let name = self.tag(schema, node);
            if matches!(self.schema.nodes[node], Node::Union(_)) {
                return Err(SchemaError::new("a union has a union as a branch"));
            }
            if !names.insert(name.clone()) {
                return Err(SchemaError::new(format!("a union has two branches of the type {}", shortened(&name))));
            }
            let mut prefix = vec![b'{'];
            write_string(&name, &mut prefix);
            prefix.push(b':');
            parsed.push(Branch { name, prefix: prefix.into(), node });
        }
        let form = self.form(&parsed);
        Ok(self.push(Node::Union(Union { branches: parsed, form })))
    }

    /// The name of a type in the tagged form: as in Avro's own JSON, the full name, or the type without its logical type.
    fn tag(&self, schema: &Value, node: NodeId) -> Box<str> {
        if let Some(name) = self.full_names.get(&node) {
            return name.clone();
        }
        let mut schema = schema;
        while let Some(inner) = schema.get("type") {
            schema = inner;
        }
        schema.as_str().unwrap_or("union").into()
    }

    fn form(&self, branches: &[Branch]) -> UnionForm {
        // A bare form has a kind for each branch.
        let kinds: Vec<_> =
            branches.iter().take(Kind::ALL.len() + 1).map(|branch| self.schema.kinds(branch.node)).collect();
        let is_clear = branches.len() <= Kind::ALL.len()
            && kinds.iter().enumerate().all(|(index, kind)| kinds[..index].iter().all(|other| !kind.overlaps(*other)));
        if is_clear {
            return UnionForm::Bare(Kind::ALL.map(|kind| kinds.iter().position(|kinds| kinds.has(kind))));
        }
        UnionForm::Tagged {
            null: branches.iter().position(|branch| matches!(self.schema.nodes[branch.node], Node::Null)),
        }
    }
}

fn full_name(name: &str, namespace: &str) -> String {
    // A leading dot is the empty namespace.
    match name.strip_prefix('.') {
        Some(name) => name.to_owned(),
        None if namespace.is_empty() || name.contains('.') => name.to_owned(),
        None => format!("{namespace}.{name}"),
    }
}

fn primitive(name: &str) -> Option<Node> {
    Some(match name {
        "null" => Node::Null,
        "boolean" => Node::Boolean,
        "int" => Node::Int,
        "long" => Node::Long,
        "float" => Node::Float,
        "double" => Node::Double,
        "bytes" => Node::Bytes,
        "string" => Node::String,
        _ => return None,
    })
}
