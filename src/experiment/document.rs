//! An experiment file as a tree of TOML values that remember where they were written.
//!
//! Profiles, sweeps, cases and `--set` are all the same thing: values laid over the tree at a dotted path. Each keeps
//! the span of the text that it came from, so a mistake in a sweep is reported at the very element of the sweep.

use std::ops::Range;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use crate::experiment::diagnostic::{Code, Diagnostic, nearest};

/// A value of the tree, with its span.
pub type Node<'t> = Spanned<DeValue<'t>>;

/// The texts that a document was put together from, laid end to end so that one offset names a place in any of them.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    parts: Vec<Part>,
}

#[derive(Debug, Clone)]
struct Part {
    origin: String,
    start: usize,
    text: String,
}

impl Sources {
    fn add(&mut self, origin: &str, text: &str) -> usize {
        let start = self.parts.last().map_or(0, |last| last.start + last.text.len() + 1);
        self.parts.push(Part { origin: origin.to_owned(), start, text: text.to_owned() });
        start
    }

    /// The text that holds `span`: its origin (a file or an option), its contents, and the span within it.
    pub fn resolve(&self, span: &Range<usize>) -> Option<(&str, &str, Range<usize>)> {
        let part = self.parts.iter().rev().find(|part| part.start <= span.start)?;
        let clip = |offset: usize| offset.saturating_sub(part.start).min(part.text.len());
        Some((&part.origin, &part.text, clip(span.start)..clip(span.end)))
    }

    /// `origin:line:column` of the beginning of `span`, counted from 1, columns in characters.
    pub fn position(&self, span: &Range<usize>) -> String {
        let Some((origin, text, local)) = self.resolve(span) else { return String::new() };
        let before = text.get(..local.start).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        format!("{origin}:{line}:{column}")
    }
}

/// The tree of an experiment file and of what was laid over it.
#[derive(Debug, Clone)]
pub struct Document<'t> {
    sources: Sources,
    root: DeTable<'t>,
}

impl<'t> Document<'t> {
    /// Parses a file's text; on syntax errors returns all that the parser could make out.
    pub fn parse(origin: &str, text: &'t str) -> Result<Self, (Sources, Vec<Diagnostic>)> {
        let mut sources = Sources::default();
        sources.add(origin, text);
        let (table, errors) = DeTable::parse_recoverable(text);
        if !errors.is_empty() {
            let end = text.len();
            let diagnostics = errors
                .iter()
                .map(|error| {
                    let span = error.span().unwrap_or(end..end);
                    Diagnostic::error(Code::Syntax, span, error.message().to_owned())
                })
                .collect();
            return Err((sources, diagnostics));
        }
        Ok(Self { sources, root: table.into_inner() })
    }

    /// Where spans of this document point to.
    pub fn sources(&self) -> &Sources {
        &self.sources
    }

    /// Lays `KEY=VALUE` over the tree, as the option `--set` does.
    pub fn set(&mut self, assignment: &'t str) -> Result<(), Diagnostic> {
        let (key, raw) = assignment.split_once('=').unwrap_or((assignment, ""));
        let (key, raw) = (key.trim(), raw.trim());
        let node = self.node(&format!("--set {assignment}"), raw);
        if key.is_empty() || raw.is_empty() {
            return Err(Diagnostic::error(Code::Syntax, node.span(), "`--set` wants KEY=VALUE".to_owned())
                .help("for example `--set scheme.modulus_bits=2048`"));
        }
        self.overlay(key, &node.span(), node)
    }

    /// A value given outside of the file, with a place of its own. What is no TOML is taken as a string.
    pub fn node(&mut self, origin: &str, raw: &'t str) -> Node<'t> {
        let start = self.sources.add(origin, raw);
        let value = match DeValue::parse(raw) {
            Ok(value) => value.into_inner(),
            Err(_) => DeValue::String(raw.into()),
        };
        // Every span below the value points at the whole of it, which is short.
        respan(value, &(start..start + raw.len()))
    }

    /// Lays `value` over the tree at the dotted path `key`; tables merge, everything else replaces.
    pub fn overlay(&mut self, key: &str, key_span: &Range<usize>, value: Node<'t>) -> Result<(), Diagnostic> {
        let mut table = &mut self.root;
        let mut parts = key.split('.').peekable();
        while let Some(part) = parts.next() {
            let name = Spanned::new(key_span.clone(), part.to_owned().into());
            if parts.peek().is_none() {
                merge(table, name, value);
                return Ok(());
            }
            let entry = table
                .entry(name)
                .or_insert_with(|| Spanned::new(key_span.clone(), DeValue::Table(DeTable::new())));
            match entry.get_mut() {
                DeValue::Table(inner) => table = inner,
                other => {
                    let kind = other.type_str();
                    return Err(Diagnostic::error(
                        Code::Type,
                        key_span.clone(),
                        format!("`{key}`: `{part}` is of type {kind}, not a table"),
                    ));
                }
            }
        }
        Ok(())
    }

    /// The value at a dotted path.
    pub fn get(&self, path: &str) -> Option<&Node<'t>> {
        let mut parts = path.split('.');
        let mut node = self.root.get(parts.next()?)?;
        for part in parts {
            node = match node.get_ref() {
                DeValue::Table(table) => table.get(part)?,
                DeValue::Array(items) => items.get(part.parse::<usize>().ok()?)?,
                _ => return None,
            };
        }
        Some(node)
    }

    /// The span of the value at a dotted path, or of its nearest ancestor that exists, or the file's first byte.
    pub fn span(&self, path: &str) -> Range<usize> {
        let mut path = path;
        loop {
            if let Some(node) = self.get(path) {
                return node.span();
            }
            match path.rfind('.') {
                Some(dot) => path = path.get(..dot).unwrap_or_default(),
                None => return 0..0,
            }
        }
    }

    /// Takes a table out of the root: what drives the sweep is read before a point is.
    pub fn take_table(&mut self, name: &str) -> Option<Spanned<DeTable<'t>>> {
        let node = self.root.remove(name)?;
        let span = node.span();
        match node.into_inner() {
            DeValue::Table(table) => Some(Spanned::new(span, table)),
            other => {
                self.root
                    .insert(Spanned::new(span.clone(), name.to_owned().into()), Spanned::new(span, other));
                None
            }
        }
    }

    /// Takes an array of tables out of the root.
    pub fn take_tables(&mut self, name: &str) -> Vec<Spanned<DeTable<'t>>> {
        let is_list = |node: &Node<'t>| {
            matches!(node.get_ref(), DeValue::Array(items)
                if items.iter().all(|item| matches!(item.get_ref(), DeValue::Table(_))))
        };
        if !self.root.get(name).is_some_and(is_list) {
            return Vec::new();
        }
        let Some(DeValue::Array(items)) = self.root.remove(name).map(Spanned::into_inner) else {
            return Vec::new();
        };
        items
            .into_iter()
            .filter_map(|item| {
                let span = item.span();
                match item.into_inner() {
                    DeValue::Table(table) => Some(Spanned::new(span, table)),
                    _ => None,
                }
            })
            .collect()
    }

    /// Deserialises the tree, reporting every value of the wrong type and every unknown key in one go: what serde
    /// stumbles over is taken out and the rest read again. `None` when what is left cannot be read at all.
    pub fn read<T: DeserializeOwned>(&self, diagnostics: &mut Vec<Diagnostic>) -> Option<T> {
        let mut root = self.root.clone();
        loop {
            let node = Spanned::new(0..0, DeValue::Table(root.clone()));
            let error = match T::deserialize(ValueDeserializer::from(node)) {
                Ok(value) => return Some(value),
                Err(error) => error,
            };
            let span = error.span().unwrap_or(0..0);
            diagnostics.push(explain(error.message(), span.clone()));
            if !remove_at(&mut root, &span) {
                return None;
            }
        }
    }
}

fn merge<'t>(table: &mut DeTable<'t>, name: Spanned<toml::de::DeString<'t>>, value: Node<'t>) {
    if let Some(present) = table.get_mut(name.get_ref().as_ref())
        && matches!(present.get_ref(), DeValue::Table(_))
        && matches!(value.get_ref(), DeValue::Table(_))
    {
        if let (DeValue::Table(into), DeValue::Table(from)) = (present.get_mut(), value.into_inner()) {
            for (key, node) in from {
                merge(into, key, node);
            }
        }
        return;
    }
    table.insert(name, value);
}

fn respan<'t>(value: DeValue<'t>, span: &Range<usize>) -> Node<'t> {
    let value = match value {
        DeValue::Array(items) => {
            DeValue::Array(items.into_iter().map(|item| respan(item.into_inner(), span)).collect())
        }
        DeValue::Table(table) => DeValue::Table(
            table
                .into_iter()
                .map(|(key, item)| {
                    (Spanned::new(span.clone(), key.into_inner()), respan(item.into_inner(), span))
                })
                .collect(),
        ),
        other => other,
    };
    Spanned::new(span.clone(), value)
}

/// Removes the innermost entry whose key or value holds `span`; false when there is none.
fn remove_at(table: &mut DeTable<'_>, span: &Range<usize>) -> bool {
    let within =
        |outer: Range<usize>| outer.start <= span.start && span.end <= outer.end && outer.end > outer.start;
    let mut at_value = None;
    for (key, node) in table.iter_mut() {
        if let DeValue::Table(inner) = node.get_mut()
            && remove_at(inner, span)
        {
            return true;
        }
        if let DeValue::Array(items) = node.get_mut() {
            for item in items.iter_mut() {
                if let DeValue::Table(inner) = item.get_mut()
                    && remove_at(inner, span)
                {
                    return true;
                }
            }
        }
        if within(key.span()) || within(node.span()) {
            at_value = Some(key.get_ref().to_string());
        }
    }
    at_value.is_some_and(|name| table.remove(name.as_str()).is_some())
}

/// Turns serde's message into a diagnostic, with the nearest right name where one was misspelt.
fn explain(message: &str, span: Range<usize>) -> Diagnostic {
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    let (code, what) = if message.starts_with("unknown field") {
        (Code::UnknownKey, "key")
    } else if message.starts_with("unknown variant") {
        (Code::UnknownName, "name")
    } else {
        let code = if message.starts_with("missing field") { Code::Missing } else { Code::Type };
        return Diagnostic::error(code, span, in_words(message));
    };
    let Some((wrong, allowed)) = quoted.split_first() else {
        return Diagnostic::error(code, span, message.to_owned());
    };
    let mut diagnostic = Diagnostic::error(code, span, format!("unknown {what} `{wrong}`"));
    if !allowed.is_empty() {
        diagnostic = diagnostic.help(&format!("allowed: {}", allowed.join(", ")));
    }
    if let Some(right) = nearest(wrong, allowed.iter().copied()) {
        diagnostic = diagnostic.label(&format!("did you mean `{right}`?"));
    }
    diagnostic
}

/// A message without the names of Rust's types.
fn in_words(message: &str) -> String {
    let types = [
        ("expected usize", "expected a whole number, 0 or more"),
        ("expected u64", "expected a whole number, 0 or more"),
        ("expected u32", "expected a whole number, 0 or more"),
        ("expected f64", "expected a number"),
        ("wanted string or table", "invalid type: expected a string"),
    ];
    types.iter().fold(message.to_owned(), |text, (name, words)| text.replace(name, words))
}
