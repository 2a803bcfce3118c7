//! A list of errors that reads as hashicorp/go-multierror prints it, also inside another list.

#[derive(Debug, Default, Clone)]
pub struct Problems(Vec<String>);

impl Problems {
    pub fn add(&mut self, problem: impl Into<String>) {
        self.0.push(problem.into());
    }

    /// The others stand in this list as one that says `what` first.
    pub fn nest(&mut self, what: String, others: &Self) {
        if let Some(text) = others.text() {
            self.0.push(format!("{what}: {text}"));
        }
    }

    /// The others stand in this list as one.
    pub fn append(&mut self, others: &Self) {
        self.0.extend(others.text());
    }

    /// The others stand in this list each for itself.
    pub fn extend(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    pub fn each(&self) -> &[String] {
        &self.0
    }

    /// None: nothing is wrong.
    pub fn text(&self) -> Option<String> {
        let all = match self.0.len() {
            0 => return None,
            1 => "1 error occurred:".to_owned(),
            many => format!("{many} errors occurred:"),
        };
        Some(format!("{all}\n\t* {}\n\n", self.0.join("\n\t* ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_in_lists_read_as_gos() {
        let mut inner = Problems::default();
        inner.add("a");
        let mut outer = Problems::default();
        outer.nest("group g".into(), &inner);
        outer.nest("group h".into(), &Problems::default());
        outer.add("b");
        assert_eq!(
            outer.text().unwrap(),
            "2 errors occurred:\n\t* group g: 1 error occurred:\n\t* a\n\n\n\t* b\n\n"
        );
        assert_eq!(Problems::default().text(), None);
    }
}
