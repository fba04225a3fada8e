//! The course of the soak, drawn: as an SVG with a panel for each figure, and as lines of text.

use std::fmt::Write as _;

use crate::watch::Sample;

const WIDTH: f64 = 720.0;
const PANEL_HEIGHT: f64 = 150.0;
const LEFT: f64 = 60.0;
const RIGHT: f64 = 110.0;
const GAP: f64 = 46.0;
const COLOURS: [&str; 6] = ["#1b6ca8", "#c1432e", "#2e7d32", "#8e5ea2", "#b8860b", "#555555"];
const STEPS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// One figure of one process over time.
struct Curve {
    name: String,
    points: Vec<(f64, f64)>,
}

struct Panel {
    title: &'static str,
    curves: Vec<Curve>,
}

fn panels(samples: &[Sample]) -> [Panel; 5] {
    let over_time = |name: &str, what: &dyn Fn(&Sample) -> f64| Curve {
        name: name.to_owned(),
        points: samples
            .iter()
            .map(|sample| (sample.at.as_secs_f64() / 60.0, what(sample)))
            .collect(),
    };
    let names: Vec<String> = samples.first().map_or(Vec::new(), |sample| {
        sample.processes.iter().map(|costs| costs.name.clone()).collect()
    });
    let of_each = |what: fn(&crate::watch::Costs) -> f64| {
        let curves = names.iter().enumerate();
        curves
            .map(|(at, name)| over_time(name, &|sample| what(&sample.processes[at])))
            .collect()
    };
    [
        Panel {
            title: "answers a second",
            curves: vec![over_time("all", &|sample| sample.per_second)],
        },
        Panel {
            title: "milliseconds to an answer",
            curves: vec![
                over_time("p50", &|sample| sample.p50.as_secs_f64() * 1e3),
                over_time("p99", &|sample| sample.p99.as_secs_f64() * 1e3),
            ],
        },
        Panel {
            title: "resident memory, MB",
            curves: of_each(|costs| costs.resident_bytes as f64 / 1e6),
        },
        Panel {
            title: "open descriptors",
            curves: of_each(|costs| costs.descriptors as f64),
        },
        Panel {
            title: "ledgers of all nodes, MB",
            curves: vec![over_time("all", &|sample| sample.ledger_bytes as f64 / 1e6)],
        },
    ]
}

/// All panels, one below the other, over minutes.
pub(crate) fn svg(samples: &[Sample]) -> String {
    let panels = panels(samples);
    let height = GAP + panels.len() as f64 * (PANEL_HEIGHT + GAP);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"white\"/>\n"
    );
    for (at, panel) in panels.iter().enumerate() {
        panel.draw(&mut svg, GAP + at as f64 * (PANEL_HEIGHT + GAP));
    }
    svg.push_str("</svg>\n");
    svg
}

impl Panel {
    fn largest(&self) -> f64 {
        let all = self.curves.iter().flat_map(|curve| &curve.points);
        all.map(|point| point.1).fold(1.0, f64::max)
    }

    fn draw(&self, svg: &mut String, top: f64) {
        let last = self
            .curves
            .iter()
            .filter_map(|curve| curve.points.last())
            .map(|point| point.0)
            .fold(1e-9, f64::max);
        let (largest, width) = (self.largest(), WIDTH - LEFT - RIGHT);
        let x = |minutes: f64| LEFT + minutes / last * width;
        let y = |figure: f64| top + PANEL_HEIGHT * (1.0 - figure / largest);
        let (right, bottom) = (LEFT + width, top + PANEL_HEIGHT);
        writeln!(
            svg,
            "<text x=\"{LEFT}\" y=\"{:.1}\" font-weight=\"bold\">{}</text>\n\
             <path d=\"M{LEFT} {top} V{bottom} H{right}\" fill=\"none\" stroke=\"#999\"/>\n\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{largest:.0}</text>\n\
             <text x=\"{:.1}\" y=\"{bottom}\" text-anchor=\"end\">0</text>\n\
             <text x=\"{right}\" y=\"{:.1}\" text-anchor=\"end\">{last:.0} min</text>",
            top - 8.0,
            self.title,
            LEFT - 5.0,
            top + 10.0,
            LEFT - 5.0,
            bottom + 13.0
        )
        .unwrap();
        for (at, curve) in self.curves.iter().enumerate() {
            let colour = COLOURS[at % COLOURS.len()];
            let points: Vec<String> = curve
                .points
                .iter()
                .map(|point| format!("{:.1},{:.1}", x(point.0), y(point.1)))
                .collect();
            writeln!(
                svg,
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.3\"/>\n\
                 <text x=\"{:.1}\" y=\"{:.1}\" fill=\"{colour}\">{}</text>",
                points.join(" "),
                right + 8.0,
                top + 12.0 + 14.0 * at as f64,
                curve.name
            )
            .unwrap();
        }
    }
}

/// The same in lines of text, each from 0 to its largest.
pub(crate) fn text(samples: &[Sample]) -> String {
    let mut text = String::new();
    for panel in panels(samples) {
        writeln!(text, "{}", panel.title).unwrap();
        for curve in &panel.curves {
            let figures: Vec<f64> = curve.points.iter().map(|point| point.1).collect();
            let largest = figures.iter().copied().fold(0.0, f64::max);
            let step = |figure: &f64| STEPS[((figure / largest.max(1e-9) * 7.0).round() as usize).min(7)];
            // No more than fit a terminal.
            let line: String = figures
                .iter()
                .step_by(figures.len().div_ceil(80).max(1))
                .map(step)
                .collect();
            writeln!(text, "  {:>12} {line} at most {largest:.1}", curve.name).unwrap();
        }
    }
    text
}
