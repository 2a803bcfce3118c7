//! What a block of a jobspec may hold: one table serves Nomad's JSON, its types and its HCL.
//!
//! A job has two forms. *Asked* is what a client sends and what `/v1/jobs/parse` answers: what is
//! not said is null. *Kept* is what the servers store and show: what is not said is Go's zero.
//! Read next: `shapes/` (the tables), `typing.rs`, `kept.rs`, `hcl/`.

/// What a field holds.
#[derive(Clone, Copy)]
pub enum Kind {
    Text,
    /// With the name of Go's type.
    Whole(&'static str),
    Truth,
    /// Nanoseconds; in HCL also a text such as `5s`.
    Length,
    TextList,
    TextMap,
    /// Whatever a driver or a plugin makes of it.
    Anything,
    One(&'static Shape),
    Many(&'static Shape),
    /// An object whose keys are the blocks' labels.
    ByLabel(&'static Shape),
}

/// How a field looks of which nothing is said.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Silent {
    Null,
    Zero,
    /// It is left out.
    Gone,
    /// This form never has it.
    Never,
}

pub struct Field {
    pub json: &'static str,
    /// Empty: HCL cannot say it.
    pub hcl: &'static str,
    pub kind: Kind,
    pub asked: Silent,
    pub kept: Silent,
}

pub struct Shape {
    /// Go's name of the type, for errors.
    pub name: &'static str,
    /// The field that a block's label fills.
    pub label: Option<&'static str>,
    pub fields: &'static [Field],
}

impl Shape {
    /// Go finds a field whatever the case of its letters.
    pub fn field(&self, json: &str) -> Option<&'static Field> {
        let exact = self.fields.iter().find(|field| field.json == json);
        exact.or_else(|| self.fields.iter().find(|field| field.json.eq_ignore_ascii_case(json)))
    }

    pub fn hcl(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| !field.hcl.is_empty() && field.hcl == name)
    }
}

const fn field(json: &'static str, hcl: &'static str, kind: Kind, kept: Silent) -> Field {
    Field { json, hcl, kind, asked: Silent::Null, kept }
}

pub(super) const fn text(json: &'static str, hcl: &'static str) -> Field {
    field(json, hcl, Kind::Text, Silent::Zero)
}

pub(super) const fn whole(json: &'static str, hcl: &'static str) -> Field {
    field(json, hcl, Kind::Whole("int"), Silent::Zero)
}

pub(super) const fn number(json: &'static str, hcl: &'static str, go: &'static str) -> Field {
    field(json, hcl, Kind::Whole(go), Silent::Zero)
}

pub(super) const fn truth(json: &'static str, hcl: &'static str) -> Field {
    field(json, hcl, Kind::Truth, Silent::Zero)
}

pub(super) const fn length(json: &'static str, hcl: &'static str) -> Field {
    field(json, hcl, Kind::Length, Silent::Zero)
}

pub(super) const fn texts(json: &'static str, hcl: &'static str) -> Field {
    field(json, hcl, Kind::TextList, Silent::Null)
}

pub(super) const fn map(json: &'static str, hcl: &'static str) -> Field {
    field(json, hcl, Kind::TextMap, Silent::Null)
}

pub(super) const fn anything(json: &'static str, hcl: &'static str) -> Field {
    field(json, hcl, Kind::Anything, Silent::Null)
}

pub(super) const fn one(json: &'static str, hcl: &'static str, shape: &'static Shape) -> Field {
    field(json, hcl, Kind::One(shape), Silent::Null)
}

pub(super) const fn many(json: &'static str, hcl: &'static str, shape: &'static Shape) -> Field {
    field(json, hcl, Kind::Many(shape), Silent::Null)
}

pub(super) const fn by_label(
    json: &'static str,
    hcl: &'static str,
    shape: &'static Shape,
) -> Field {
    field(json, hcl, Kind::ByLabel(shape), Silent::Null)
}

impl Field {
    /// A value, not a pointer, in both forms.
    pub(super) const fn plain(mut self) -> Self {
        self.asked = Silent::Zero;
        self
    }

    /// A pointer in both forms.
    pub(super) const fn optional(mut self) -> Self {
        self.kept = Silent::Null;
        self
    }

    pub(super) const fn only_asked(mut self) -> Self {
        self.kept = Silent::Never;
        self
    }

    pub(super) const fn only_kept(mut self) -> Self {
        self.asked = Silent::Gone;
        self
    }

    /// Kept only where it is said.
    pub(super) const fn if_said(mut self) -> Self {
        self.kept = Silent::Gone;
        self
    }
}
