//! What is wrong with an experiment file: where, what was found, what is allowed.

use std::fmt;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use crate::experiment::document::Sources;

/// The kinds of mistake, with the numbers that messages carry. Numbers are never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Code {
    /// The text is no TOML.
    Syntax,
    /// A value of the wrong type.
    Type,
    /// A key that does not exist.
    UnknownKey,
    /// A name that does not exist.
    UnknownName,
    /// A key that must be given and is not.
    Missing,
    /// A number outside its range.
    Range,
    /// Parts that cannot work together.
    Incompatible,
    /// A plaintext space too small for the fixed-point numbers of the experiment.
    Overflow,
    /// An expression that cannot be read.
    Expression,
    /// Too little security without the mark `security = "paper"`.
    Insecure,
}

impl Code {
    /// The number in messages: E001 and on.
    pub fn number(self) -> &'static str {
        match self {
            Self::Syntax => "E001",
            Self::Type => "E002",
            Self::UnknownKey => "E003",
            Self::UnknownName => "E004",
            Self::Missing => "E005",
            Self::Range => "E006",
            Self::Incompatible => "E007",
            Self::Overflow => "E008",
            Self::Expression => "E009",
            Self::Insecure => "E010",
        }
    }
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The experiment cannot run.
    Error,
    /// It can, but a reader should know.
    Warning,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Its kind.
    pub code: Code,
    /// How bad it is.
    pub severity: Severity,
    /// Where, as an offset into the document's [`Sources`].
    pub span: Range<usize>,
    /// What was found.
    pub message: String,
    /// What stands beside the marked place.
    pub label: Option<String>,
    /// What is allowed, or the way out.
    pub help: Option<String>,
}

impl Diagnostic {
    /// A mistake.
    pub fn error(code: Code, span: Range<usize>, message: String) -> Self {
        Self { code, severity: Severity::Error, span, message, label: None, help: None }
    }

    /// A warning.
    pub fn warning(code: Code, span: Range<usize>, message: String) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, span, message) }
    }

    /// With a note beside the marked place.
    #[must_use]
    pub fn label(mut self, label: &str) -> Self {
        self.label = Some(label.to_owned());
        self
    }

    /// With a way out.
    #[must_use]
    pub fn help(mut self, help: &str) -> Self {
        self.help = Some(help.to_owned());
        self
    }
}

/// All findings of one file, in the order of their places, rendered the way rustc does.
#[derive(Debug, Clone)]
pub struct Report {
    /// The texts that the spans point into.
    pub sources: Sources,
    /// Sorted by place, without repetitions.
    pub diagnostics: Vec<Diagnostic>,
}

impl Report {
    /// Sorts the findings and drops repetitions, which a sweep makes when one mistake meets many points.
    pub fn new(sources: Sources, mut diagnostics: Vec<Diagnostic>) -> Self {
        diagnostics.sort_by(|a, b| {
            (a.span.start, a.span.end, a.code, &a.message).cmp(&(
                b.span.start,
                b.span.end,
                b.code,
                &b.message,
            ))
        });
        diagnostics.dedup();
        Self { sources, diagnostics }
    }

    /// Whether the experiment cannot run.
    pub fn has_errors(&self) -> bool {
        self.errors().next().is_some()
    }

    /// Whether all that stands in the way is too little security.
    pub fn only_insecure(&self) -> bool {
        self.has_errors() && self.errors().all(|diagnostic| diagnostic.code == Code::Insecure)
    }

    fn errors(&self) -> impl Iterator<Item = &Diagnostic> {
        self.diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error)
    }

    /// The text for a terminal (`color`) or a file.
    pub fn render(&self, color: bool) -> String {
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        let mut out = String::new();
        for diagnostic in &self.diagnostics {
            let (origin, text, span) = self.sources.resolve(&diagnostic.span).unwrap_or(("", "", 0..0));
            let level = match diagnostic.severity {
                Severity::Error => Level::ERROR,
                Severity::Warning => Level::WARNING,
            };
            let annotation = AnnotationKind::Primary.span(span);
            let annotation = match &diagnostic.label {
                Some(label) => annotation.label(label),
                None => annotation,
            };
            let mut group: Group<'_> = level
                .primary_title(&diagnostic.message)
                .id(diagnostic.code.number())
                .element(Snippet::source(text).path(origin).annotation(annotation));
            if let Some(help) = &diagnostic.help {
                group = group.element(Level::HELP.message(help));
            }
            out.push_str(&renderer.render(&[group]));
            out.push_str("\n\n");
        }
        out
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

/// The name nearest to `wrong`, if one is near enough to have been meant.
pub fn nearest<'a>(wrong: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    names
        .map(|name| (strsim::jaro_winkler(&wrong.to_lowercase(), &name.to_lowercase()), name))
        .filter(|(score, _)| *score >= 0.75)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, name)| name)
}
