//! YAML text as a tree that knows where everything stands.
//!
//! The tree is built from the events of `saphyr-parser` directly: serde's data model has no room for positions, and a
//! second parser beside it to find them would be a second opinion on what the file says. Scalars follow YAML 1.2's core
//! schema; anchors, aliases and merge keys work; what grows without bound (depth, aliases of aliases) is refused.

use std::collections::HashMap;

use engine::Value;
use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};

use super::scalar;

/// Files larger than this are no sweep files.
pub(crate) const MAX_BYTES: usize = 4 << 20;
/// Nesting deeper than this is no sweep file; a real one needs eight.
pub(crate) const MAX_DEPTH: usize = 32;
/// Nodes in the tree once aliases are expanded.
pub(crate) const MAX_NODES: usize = 250_000;

/// Where something stands: in the file (`source` 0) or in the `source`-th `--set`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    pub(crate) source: u32,
    /// From 1; 0 for the whole file.
    pub(crate) line: u32,
    /// In characters, from 1.
    pub(crate) column: u32,
    /// In characters.
    pub(crate) width: u32,
}

/// A node of the tree.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) place: Place,
    pub(crate) data: Data,
}

/// What a node is.
#[derive(Clone, Debug)]
pub(crate) enum Data {
    /// A scalar: what it means, and how it is written (steps need the decimal text).
    Scalar { value: Value, text: String },
    /// A list.
    List(Vec<Node>),
    /// A map in the order of the file, each key once.
    Map(Vec<Entry>),
}

/// One entry of a map.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) place: Place,
    pub(crate) node: Node,
}

/// What is wrong with the YAML itself.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub(crate) place: Place,
    pub(crate) path: String,
    pub(crate) message: String,
    pub(crate) help: Option<String>,
}

impl Node {
    /// The node as a config's value: a scalar or a list of values; `None` for maps.
    pub(crate) fn to_value(&self) -> Option<Value> {
        match &self.data {
            Data::Scalar { value, .. } => Some(value.clone()),
            Data::List(items) => items.iter().map(Node::to_value).collect::<Option<_>>().map(Value::List),
            Data::Map(_) => None,
        }
    }

    /// The node in the words of an error message.
    pub(crate) fn describe(&self) -> &'static str {
        match &self.data {
            Data::Scalar { value, .. } => value.type_name(),
            Data::List(_) => "a list",
            Data::Map(_) => "a map",
        }
    }

    /// A scalar as the user wrote it, shown beside what is wrong with it.
    pub(crate) fn shown(&self) -> Option<String> {
        match &self.data {
            Data::Scalar { text, .. } => Some(text.clone()),
            Data::List(_) => self.to_value().map(|value| value.to_string()),
            Data::Map(_) => None,
        }
    }

    /// How many nodes it has, and how deep it is.
    fn extent(&self) -> (usize, usize) {
        fn sum<'n>(children: impl Iterator<Item = &'n Node>) -> (usize, usize) {
            children.map(Node::extent).fold((1, 1), |(nodes, depth), (n, d)| (nodes + n, depth.max(d + 1)))
        }
        match &self.data {
            Data::Scalar { .. } => (1, 1),
            Data::List(items) => sum(items.iter()),
            Data::Map(entries) => sum(entries.iter().map(|entry| &entry.node)),
        }
    }
}

/// Reads one document. Faults that leave a tree (duplicate keys) come with it; others come alone.
pub(crate) fn load(text: &str, source: u32) -> (Option<Node>, Vec<Fault>) {
    let mut builder = Builder { source, ..Builder::default() };
    if text.len() > MAX_BYTES {
        let message = format!("the file has {} bytes; a sweep file has at most {MAX_BYTES}", text.len());
        let _: Option<()> = builder.fault(Place { source, ..Place::default() }, message);
        return (None, builder.faults);
    }
    for event in Parser::new_from_str(text) {
        let step = match event {
            Ok((event, span)) => builder.event(event, span),
            // The iterator does not end after an error.
            Err(error) => {
                let (line, column) = (error.marker().line() as u32, error.marker().col() as u32 + 1);
                let message = match error.info() {
                    "recursion limit exceeded" => too_deep(),
                    info => info.to_owned(),
                };
                builder.fault(Place { source, line, column, width: 1 }, message)
            }
        };
        if step.is_none() {
            return (None, builder.faults);
        }
    }
    if builder.root.is_none() {
        let _: Option<()> = builder.fault(Place { source, ..Place::default() }, "the file is empty".into());
    }
    (builder.root, builder.faults)
}

/// A list or map whose end has not come.
struct Frame {
    place: Place,
    anchor: usize,
    kind: FrameKind,
}

enum FrameKind {
    List(Vec<Node>),
    Map { entries: Vec<Entry>, key: Option<Key>, merges: Vec<(usize, Node)> },
}

struct Key {
    text: String,
    place: Place,
    /// An unquoted `<<`.
    merge: bool,
}

#[derive(Default)]
struct Builder {
    source: u32,
    stack: Vec<Frame>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    documents: usize,
    root: Option<Node>,
    faults: Vec<Fault>,
}

impl Builder {
    /// `None` ends the reading.
    fn event(&mut self, event: Event<'_>, span: Span) -> Option<()> {
        let place = self.place(span);
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    return self.fault(place, "a second document begins; a sweep file has one".into());
                }
                Some(())
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.count(place, 1, 1)?;
                let plain = style == ScalarStyle::Plain && tag.is_none();
                let value = self.scalar(&text, style, tag.as_deref(), place)?;
                let node = Node { place, data: Data::Scalar { value, text: text.into_owned() } };
                self.complete(node, anchor, plain)
            }
            Event::SequenceStart(anchor, tag) => {
                self.open(place, anchor, tag.as_deref(), FrameKind::List(Vec::new()), "seq")
            }
            Event::MappingStart(anchor, tag) => {
                let kind = FrameKind::Map { entries: Vec::new(), key: None, merges: Vec::new() };
                self.open(place, anchor, tag.as_deref(), kind, "map")
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let frame = self.stack.pop().expect("the parser ends what it began");
                let data = match frame.kind {
                    FrameKind::List(items) => Data::List(items),
                    FrameKind::Map { entries, merges, .. } => Data::Map(self.merged(entries, merges)?),
                };
                self.complete(Node { place: frame.place, data }, frame.anchor, false)
            }
            Event::Alias(anchor) => {
                let Some(node) = self.anchors.get(&anchor) else {
                    return self.fault(place, "this alias stands within what it refers to".into());
                };
                let (nodes, depth) = node.extent();
                self.count(place, nodes, depth)?;
                let node = self.anchors[&anchor].clone();
                self.complete(node, 0, false)
            }
            _ => Some(()),
        }
    }

    fn place(&self, span: Span) -> Place {
        let (start, end) = (span.start, span.end);
        let width = if start.line() == end.line() { end.col().saturating_sub(start.col()) } else { 1 };
        Place { source: self.source, line: start.line() as u32, column: start.col() as u32 + 1, width: width as u32 }
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, tag: Option<&Tag>, place: Place) -> Option<Value> {
        let plain = match tag {
            None => style == ScalarStyle::Plain,
            Some(tag) if tag.handle == "!" && tag.suffix.is_empty() => false,
            Some(tag) if tag.is_yaml_core_schema() => match tag.suffix.as_str() {
                "str" => false,
                "null" | "bool" | "int" | "float" => true,
                _ => return self.unknown_tag(tag, place),
            },
            Some(tag) => return self.unknown_tag(tag, place),
        };
        Some(if plain { scalar::resolve(text) } else { Value::Text(text.to_owned()) })
    }

    fn unknown_tag<T>(&mut self, tag: &Tag, place: Place) -> Option<T> {
        self.fault(place, format!("the tag {tag} means nothing in a sweep file"))
    }

    fn open(&mut self, place: Place, anchor: usize, tag: Option<&Tag>, kind: FrameKind, own_tag: &str) -> Option<()> {
        self.count(place, 1, 1)?;
        if let Some(tag) = tag
            && !(tag.is_yaml_core_schema() && tag.suffix == own_tag)
        {
            return self.unknown_tag(tag, place);
        }
        self.stack.push(Frame { place: Place { width: 1, ..place }, anchor, kind });
        Some(())
    }

    /// Counts `nodes` more, the deepest of them `depth` levels below the current one.
    fn count(&mut self, place: Place, nodes: usize, depth: usize) -> Option<()> {
        self.nodes += nodes;
        if self.stack.len() + depth > MAX_DEPTH {
            return self.fault(place, too_deep());
        }
        if self.nodes > MAX_NODES {
            let message =
                format!("is too large: with its aliases expanded, a sweep file has at most {MAX_NODES} nodes");
            return self.fault(place, message);
        }
        Some(())
    }

    /// Puts a complete node where it belongs.
    fn complete(&mut self, node: Node, anchor: usize, plain: bool) -> Option<()> {
        if anchor != 0 {
            let (nodes, _) = node.extent();
            self.count(node.place, nodes, 0)?;
            self.anchors.insert(anchor, node.clone());
        }
        match self.stack.last_mut().map(|frame| &mut frame.kind) {
            None => self.root = Some(node),
            Some(FrameKind::List(items)) => items.push(node),
            Some(FrameKind::Map { entries, key, merges }) => match key.take() {
                None => {
                    let Data::Scalar { text, .. } = node.data else {
                        return self.fault(node.place, format!("a key is {}; keys are text", node.describe()));
                    };
                    *key = Some(Key { merge: plain && text == "<<", text, place: node.place });
                }
                Some(key) if key.merge => merges.push((entries.len(), node)),
                Some(key) => {
                    let mut node = node;
                    if matches!(&node.data, Data::Scalar { value: Value::Null, text } if text.is_empty()) {
                        // An empty value has no place of its own.
                        node.place = key.place;
                    }
                    entries.push(Entry { key: key.text, place: key.place, node });
                }
            },
        }
        Some(())
    }

    /// A map's entries with what `<<` brings: a map's own keys win, then the first merge that has the key.
    fn merged(&mut self, entries: Vec<Entry>, merges: Vec<(usize, Node)>) -> Option<Vec<Entry>> {
        let mut places: HashMap<String, Place> = HashMap::new();
        let mut own = Vec::with_capacity(entries.len());
        for entry in entries {
            match places.get(&entry.key) {
                Some(first) => {
                    let path = self.path(&entry.key);
                    self.faults.push(Fault {
                        place: entry.place,
                        path,
                        message: "is given twice".into(),
                        help: Some(format!("it was given first on line {}; keep one of the two", first.line)),
                    });
                    own.push(None);
                }
                None => {
                    places.insert(entry.key.clone(), entry.place);
                    own.push(Some(entry));
                }
            }
        }
        let mut out = Vec::with_capacity(own.len());
        let mut own = own.into_iter().enumerate().peekable();
        for (position, node) in merges {
            while let Some((_, entry)) = own.next_if(|(place, _)| *place < position) {
                out.extend(entry);
            }
            let sources = match node.data {
                Data::List(items) => items,
                _ => vec![node],
            };
            for source in sources {
                let Data::Map(brought) = source.data else {
                    let message = format!("<<: merges {}; only maps can be merged", source.describe());
                    return self.fault(source.place, message);
                };
                for entry in brought {
                    if !places.contains_key(&entry.key) {
                        places.insert(entry.key.clone(), entry.place);
                        out.push(entry);
                    }
                }
            }
        }
        out.extend(own.filter_map(|(_, entry)| entry));
        Some(out)
    }

    /// The path of `key` within what is open.
    fn path(&self, key: &str) -> String {
        let mut path = String::new();
        for frame in &self.stack {
            match &frame.kind {
                FrameKind::List(items) => path.push_str(&format!("[{}]", items.len())),
                FrameKind::Map { key: Some(key), .. } => join(&mut path, &key.text),
                FrameKind::Map { key: None, .. } => {}
            }
        }
        join(&mut path, key);
        path
    }

    fn fault<T>(&mut self, place: Place, message: String) -> Option<T> {
        self.faults.push(Fault { place, path: String::new(), message, help: None });
        None
    }
}

fn too_deep() -> String {
    format!("is nested too deeply; a sweep file has at most {MAX_DEPTH} levels")
}

/// Appends a step to a path.
fn join(path: &mut String, step: &str) {
    if !path.is_empty() && !step.is_empty() {
        path.push('.');
    }
    path.push_str(step);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(node: &Node) -> String {
        match &node.data {
            Data::Scalar { value, .. } => value.to_string(),
            Data::List(items) => format!("[{}]", items.iter().map(render).collect::<Vec<_>>().join(", ")),
            Data::Map(entries) => {
                let entries: Vec<_> = entries.iter().map(|e| format!("{}: {}", e.key, render(&e.node))).collect();
                format!("{{{}}}", entries.join(", "))
            }
        }
    }

    fn tree(text: &str) -> String {
        let (root, faults) = load(text, 0);
        assert!(faults.is_empty(), "{faults:?}");
        render(&root.unwrap())
    }

    fn fault(text: &str) -> Fault {
        let (_, faults) = load(text, 0);
        faults.into_iter().next().expect("a fault")
    }

    #[test]
    fn merge_keys_bring_what_is_not_there() {
        let text = "a: &a {x: 1, y: 2}\nb: &b {y: 3, z: 4}\nc:\n  w: 0\n  <<: [*a, *b]\n  y: 9\n'<<': quoted\n";
        assert_eq!(tree(text), "{a: {x: 1, y: 2}, b: {y: 3, z: 4}, c: {w: 0, x: 1, z: 4, y: 9}, <<: quoted}");
    }

    #[test]
    fn merged_keys_keep_the_place_where_they_stand() {
        let (root, _) = load("a: &a\n  x: 1\nc:\n  <<: *a\n", 0);
        let Data::Map(entries) = root.unwrap().data else { panic!() };
        let Data::Map(merged) = &entries[1].node.data else { panic!() };
        assert_eq!((merged[0].place.line, merged[0].place.column), (2, 3));
    }

    #[test]
    fn quotes_and_tags_decide_what_a_scalar_is() {
        assert_eq!(load("'1e-5'", 0).0.unwrap().to_value(), Some(Value::from("1e-5")));
        assert_eq!(load("!!str 5", 0).0.unwrap().to_value(), Some(Value::from("5")));
        assert_eq!(load("!!float 5", 0).0.unwrap().to_value(), Some(Value::Int(5)));
        assert!(fault("!python/object 5").message.contains("means nothing"));
    }

    #[test]
    fn a_key_given_twice_names_both_lines() {
        let fault = fault("a:\n  b: 1\n  c: 2\n  b: 3\n");
        assert_eq!((fault.path.as_str(), fault.place.line), ("a.b", 4));
        assert!(fault.help.unwrap().contains("line 2"));
    }

    #[test]
    fn what_grows_without_bound_is_refused() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let items = vec![format!("*a{}", level - 1); 10].join(", ");
            bomb.push_str(&format!("a{level}: &a{level} [{items}]\n"));
        }
        assert!(fault(&bomb).message.contains("too large"));
        assert!(fault(&"[".repeat(1_000_000)).message.contains("nested too deeply"));
        assert!(fault(&"[".repeat(MAX_DEPTH + 1)).message.contains("nested too deeply"));
        assert!(fault(&"{a: ".repeat(1_000_000)).message.contains("nested too deeply"));
        assert!(fault(&"- ".repeat(1_000_000)).message.contains("nested too deeply"));
        assert!(fault(&" ".repeat(MAX_BYTES + 1)).message.contains("bytes"));
        assert!(fault("a: &a [*a]").message.contains("within what it refers to"));
    }

    #[test]
    fn what_is_no_map_of_text_is_refused() {
        for (text, message) in [
            ("", "empty"),
            ("? [a]\n: b\n", "keys are text"),
            ("a: 1\n---\nb: 2\n", "second document"),
            ("<<: 5", "only maps can be merged"),
            ("a: *b", "unknown anchor"),
            ("a: [1", ""),
        ] {
            assert!(fault(text).message.contains(message), "{text}: {}", fault(text).message);
        }
    }
}
