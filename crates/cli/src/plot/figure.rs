//! What a chart shows, whatever it was made from. Commands that draw something else than an answer make one of these.

/// A chart: one or more panels over the same x axis.
#[derive(Debug)]
pub(crate) struct Figure {
    pub(crate) title: String,
    /// Lines under the title: who took part, and what is missing.
    pub(crate) notes: Vec<Note>,
    /// Lines at the bottom: where it comes from.
    pub(crate) sources: Vec<String>,
    pub(crate) x: Axis,
    pub(crate) panels: Vec<Panel>,
}

/// A line under the title.
#[derive(Debug, PartialEq)]
pub(crate) enum Note {
    Plain(String),
    /// The chart does not show the whole.
    Warning(String),
}

/// What lies along the bottom.
#[derive(Debug)]
pub(crate) struct Axis {
    pub(crate) title: String,
    pub(crate) places: Places,
}

/// Where marks can be.
#[derive(Debug)]
pub(crate) enum Places {
    /// Groups side by side.
    Groups(Vec<String>),
    /// Points of a scale, ascending.
    Scale(Vec<Point>, Ticks),
}

/// One point of a scale.
#[derive(Debug)]
pub(crate) struct Point {
    pub(crate) at: f64,
    pub(crate) label: String,
}

/// Which points of a scale have a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ticks {
    /// Those at which there is something, or every so many of them.
    AtPoints,
    /// Round numbers.
    Round,
}

/// One y axis with its marks.
#[derive(Debug)]
pub(crate) struct Panel {
    pub(crate) title: String,
    pub(crate) form: Form,
    pub(crate) series: Vec<Series>,
}

/// How marks are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Bars,
    Lines,
    /// A value holds until the next one; values are probabilities.
    Steps,
}

/// Marks that belong together.
#[derive(Debug)]
pub(crate) struct Series {
    /// Its name in the legend; of the only series of a panel, nothing.
    pub(crate) name: String,
    /// One for each place.
    pub(crate) marks: Vec<Mark>,
}

/// What is known at one place.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Mark {
    /// Nothing if nothing was released.
    pub(crate) value: Option<f64>,
    /// What the value can be, where suppression leaves it open.
    pub(crate) open: Option<Open>,
}

/// The least and the most that a value can be; nothing where that is not known.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Open {
    pub(crate) low: Option<f64>,
    pub(crate) high: Option<f64>,
}

impl Open {
    /// Whether nothing is known of it.
    pub(crate) fn is_unbounded(&self) -> bool {
        self.low.is_none() && self.high.is_none()
    }
}

impl Figure {
    /// Names of series, in the order of their colours.
    pub(crate) fn series_names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for series in self.panels.iter().flat_map(|panel| &panel.series) {
            if !series.name.is_empty() && !names.contains(&series.name.as_str()) {
                names.push(&series.name);
            }
        }
        names
    }

    /// What values can be that are drawn and open.
    pub(crate) fn open_values(&self) -> impl Iterator<Item = &Open> {
        self.marks()
            .filter(|(_, mark)| mark.value.is_some())
            .filter_map(|(_, mark)| mark.open.as_ref())
    }

    /// Whether a bar is missing that could be taken for a zero.
    pub(crate) fn has_missing_bars(&self) -> bool {
        self.marks()
            .any(|(form, mark)| form == Form::Bars && mark.value.is_none())
    }

    fn marks(&self) -> impl Iterator<Item = (Form, &Mark)> {
        self.panels.iter().flat_map(|panel| {
            let marks = panel.series.iter().flat_map(|series| &series.marks);
            marks.map(|mark| (panel.form, mark))
        })
    }

    /// Every text that is not ours.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &str> {
        let notes = self.notes.iter().map(|note| match note {
            Note::Plain(text) | Note::Warning(text) => text,
        });
        let labels: Vec<&str> = match &self.x.places {
            Places::Groups(labels) => labels.iter().map(String::as_str).collect(),
            Places::Scale(points, _) => points.iter().map(|point| point.label.as_str()).collect(),
        };
        let panels = self.panels.iter().flat_map(|panel| {
            let names = panel.series.iter().map(|series| series.name.as_str());
            names.chain([panel.title.as_str()])
        });
        [self.title.as_str(), self.x.title.as_str()]
            .into_iter()
            .chain(notes.map(String::as_str))
            .chain(self.sources.iter().map(String::as_str))
            .chain(labels)
            .chain(panels)
    }
}
