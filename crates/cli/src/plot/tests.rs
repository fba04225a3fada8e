//! What charts refuse, and that a chart never shows what was not released; `tests/it/sandbox/plots.rs` draws answers of nodes.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Date32Array, Float64Array, Int64Array, ListArray, StringArray};
use arrow::datatypes::{DataType, Int64Type};
use arrow::record_batch::RecordBatch;
use federation::{Answer, Coverage, Expected, Interval, Status};
use terms::{Problem, Report};

use super::figure::{Figure, Form, Mark, Note, Open, Places};
use super::{Plot, choose, png, svg};
use crate::args::PlotKind;

fn words(words: &[&str]) -> ArrayRef {
    Arc::new(StringArray::from(words.to_vec()))
}

fn whole(numbers: &[i64]) -> ArrayRef {
    Arc::new(Int64Array::from(numbers.to_vec()))
}

fn measured(numbers: &[f64]) -> ArrayRef {
    Arc::new(Float64Array::from(numbers.to_vec()))
}

fn days(days: &[i32]) -> ArrayRef {
    Arc::new(Date32Array::from(days.to_vec()))
}

fn node(name: &str, status: Status) -> Coverage {
    Coverage {
        node: name.parse().unwrap(),
        status,
        suppressed_cells: 0,
        withheld: BTreeMap::new(),
        policy: None,
        data: Vec::new(),
        permit: None,
        duties: Vec::new(),
        problem: None,
        message: None,
        remedy: None,
        query_id: None,
        receipts: Vec::new(),
    }
}

fn answer(columns: &[(&str, ArrayRef)]) -> Answer {
    let batch = RecordBatch::try_from_iter(columns.iter().cloned()).unwrap();
    Answer {
        query_id: trust::new_query_id().unwrap(),
        schema: batch.schema(),
        batches: vec![batch],
        intervals: Vec::new(),
        rows_open: false,
        coverage: vec![node("a", Status::Answered), node("b", Status::Answered)],
        receipts: None,
    }
}

fn open(row: usize, column: &str, low: Option<f64>, high: Option<f64>) -> Interval {
    Interval {
        row,
        column: column.to_owned(),
        low,
        high,
        nodes: vec!["a".parse().unwrap()],
    }
}

fn expected(answer: &Answer) -> Vec<Expected> {
    let fields = answer.schema.fields().iter();
    let columns = fields.map(|field| Expected {
        name: field.name().clone(),
        data_type: field.data_type().clone(),
        unit: None,
        is_group: false,
    });
    columns.collect()
}

fn drawn(answer: &Answer, kind: Option<PlotKind>) -> Result<Figure, Report> {
    choose::figure(answer, &expected(answer), kind)
}

fn refused(answer: &Answer, kind: Option<PlotKind>, says: &str, remedy: &str) {
    let report = drawn(answer, kind).unwrap_err();
    assert_eq!(report.problem, Problem::Chart);
    assert!(report.message.contains(says), "no {says:?} in {report}");
    assert!(report.remedy.contains(remedy), "no {remedy:?} in {}", report.remedy);
}

/// The tags of an SVG; the text in it is escaped, so every `<` begins one.
fn tags(svg: &str) -> Vec<&str> {
    let tags = svg.split('<').skip(1);
    tags.map(|tag| tag.split([' ', '>', '\n']).next().unwrap()).collect()
}

#[test]
fn what_makes_no_chart_is_refused_before_anything_is_asked() {
    let file = |name: &str, answer: &Answer, kind| Plot::new(Path::new(name), kind, expected(answer)).map(drop);
    let good = answer(&[("ward", words(&["eye"])), ("n", whole(&[1]))]);
    assert!(file("a.svg", &good, None).is_ok() && file("a.PNG", &good, None).is_ok());
    let list = ListArray::from_iter_primitive::<Int64Type, _, _>([Some(vec![Some(1)])]);
    let of_list = answer(&[("ward", Arc::new(list) as ArrayRef), ("n", whole(&[1]))]);
    let of_words = answer(&[("a", words(&["x"])), ("b", words(&["y"]))]);
    for (name, answer, kind, says) in [
        ("a.pdf", &good, None, "neither an SVG nor a PNG"),
        ("svg", &good, None, "neither an SVG nor a PNG"),
        ("a.svg", &of_words, None, "no number"),
        ("a.svg", &answer(&[("n", whole(&[1]))]), None, "one column"),
        ("a.svg", &of_list, None, "List"),
        (
            "a.svg",
            &good,
            Some(PlotKind::Survival),
            "a time and one that is a probability",
        ),
    ] {
        let report = file(name, answer, kind).unwrap_err();
        assert!(report.message.contains(says), "no {says:?} in {report}");
        assert_eq!(report.problem, Problem::Chart);
    }
}

#[test]
fn an_answer_that_is_too_much_for_a_chart_is_refused_with_what_to_change() {
    let names: Vec<String> = (0..61).map(|n| format!("ward {n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let numbers: Vec<i64> = (0..61).collect();
    let many = answer(&[("ward", words(&names)), ("n", whole(&numbers))]);
    refused(&many, None, "61 groups of ward", "HAVING");
    let crossed = answer(&[
        ("all", words(&["x"; 61])),
        ("ward", words(&names)),
        ("n", whole(&numbers)),
    ]);
    refused(&crossed, None, "61 groups of ward cannot be told apart", "exchange");
    let three = answer(&[
        ("a", words(&["x"])),
        ("b", words(&["y"])),
        ("c", words(&["z"])),
        ("n", whole(&[1])),
    ]);
    refused(&three, None, "has 3: a, b, c", "group by one or two");
    let twice = answer(&[("a", words(&["x", "x"])), ("share", measured(&[0.5, 0.6]))]);
    refused(&twice, None, "several rows have the same a", "select all columns");
    let bare = answer(&[("n", whole(&[5])), ("m", whole(&[6]))]);
    refused(&bare, None, "no column to draw its numbers over", "group by");
    refused(&answer(&[("a", words(&[])), ("n", whole(&[]))]), None, "no rows", "");
    let null = answer(&[
        ("day", Arc::new(Date32Array::from(vec![Some(1), None])) as ArrayRef),
        ("n", whole(&[1, 2])),
    ]);
    refused(&null, Some(PlotKind::Line), "some day is NULL", "IS NOT NULL");
    let kinds = answer(&[
        ("a", words(&["x"])),
        ("k", measured(&[0.1])),
        ("l", measured(&[0.1])),
        ("m", measured(&[0.1])),
        ("n", measured(&[0.1])),
        ("o", measured(&[0.1])),
    ]);
    refused(&kinds, None, "5 numbers of different kinds", "at most 4");
}

#[test]
fn what_is_no_survival_curve_is_refused() {
    let curve = |time: ArrayRef, share: ArrayRef| answer(&[("time", time), ("share", share)]);
    let survival = Some(PlotKind::Survival);
    refused(
        &curve(whole(&[1, 2]), measured(&[0.9, 1.2])),
        survival,
        "not between 0 and 1",
        "the time, then",
    );
    refused(
        &curve(whole(&[1, 2]), measured(&[0.5, 0.6])),
        survival,
        "share rises",
        "--plot-kind line",
    );
    refused(
        &curve(whole(&[-1, 2]), measured(&[0.9, 0.8])),
        survival,
        "time is negative",
        "time before",
    );
    refused(
        &curve(days(&[1, 2]), measured(&[0.9, 0.8])),
        survival,
        "is a date",
        "number of days",
    );
    refused(
        &curve(whole(&[1, 1]), measured(&[0.9, 0.8])),
        survival,
        "several rows of the same time",
        "text",
    );
    let three = answer(&[("t", whole(&[1])), ("s", measured(&[0.9])), ("u", measured(&[0.8]))]);
    refused(
        &three,
        survival,
        "a time and one that is a probability",
        "select these two",
    );
}

#[test]
fn a_name_never_becomes_a_part_of_the_drawing() {
    let evil = "<script>alert(1)</script>\"/><image href='x'/>&lt;]]>\u{0}\u{1b}[31m\u{202e}";
    let mut answer = answer(&[
        (evil, words(&[evil, "<b>"])),
        ("node", words(&[evil, "<i>"])),
        ("n<script>", whole(&[1, 2])),
    ]);
    answer.coverage = vec![node("a", Status::Answered)];
    let text = svg(&drawn(&answer, None).unwrap()).unwrap();
    let known = [
        "svg", "/svg", "rect", "line", "polyline", "polygon", "circle", "text", "/text",
    ];
    for tag in tags(&text) {
        assert!(known.contains(&tag), "a tag {tag:?} in {text}");
    }
    assert!(text.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "{text}");
    let unseen = |letter: char| letter.is_control() && letter != '\n' || letter == '\u{202e}';
    assert!(!text.contains(unseen), "{text}");
}

#[test]
fn what_was_not_released_is_no_zero() {
    let answer = answer(&[
        ("node", words(&["a", "a", "b"])),
        ("sex", words(&["female", "male", "male"])),
        ("n", whole(&[7, 0, 5])),
        (
            "mean",
            Arc::new(Float64Array::from(vec![Some(1.5), None, Some(f64::NAN)])) as ArrayRef,
        ),
    ]);
    let figure = drawn(&answer, None).unwrap();
    let values = |panel: usize, series: usize| -> Vec<Option<f64>> {
        figure.panels[panel].series[series]
            .marks
            .iter()
            .map(|mark| mark.value)
            .collect()
    };
    assert_eq!(
        (values(0, 0), values(0, 1)),
        (vec![Some(7.0), None], vec![Some(0.0), Some(5.0)])
    );
    assert_eq!((values(1, 0), values(1, 1)), (vec![Some(1.5), None], vec![None, None]));
    let text = svg(&figure).unwrap();
    assert!(text.contains("no value: not released, or nothing there"), "{text}");
    let all = svg(&drawn(&super::tests::answer(&[("a", words(&["x"])), ("n", whole(&[0]))]), None).unwrap()).unwrap();
    assert!(!all.contains("no value"), "{all}");
}

#[test]
fn a_line_is_cut_where_a_value_is_missing() {
    // Weeks; the third is missing.
    let weeks = answer(&[("week", days(&[0, 7, 21, 28])), ("n", whole(&[3, 4, 5, 6]))]);
    let lines = |answer: &Answer| {
        let text = svg(&drawn(answer, None).unwrap()).unwrap();
        text.lines()
            .filter(|line| line.starts_with("<polyline") && line.contains("#0072B2"))
            .count()
    };
    assert_eq!(lines(&weeks), 2);
    let all = answer(&[("week", days(&[0, 7, 14, 21])), ("n", whole(&[3, 4, 5, 6]))]);
    assert_eq!(lines(&all), 1);
}

#[test]
fn open_values_are_drawn_as_open() {
    let mut answer = answer(&[
        ("sex", words(&["female", "male"])),
        ("people", whole(&[56, 93])),
        ("mean_age", measured(&[60.9643, 63.7312])),
    ]);
    let closed = svg(&drawn(&answer, None).unwrap()).unwrap();
    answer.intervals = vec![
        open(0, "people", Some(56.0), None),
        open(1, "mean_age", Some(18.0), Some(120.0)),
    ];
    let figure = drawn(&answer, None).unwrap();
    let mark = |panel: usize, place: usize| &figure.panels[panel].series[0].marks[place];
    assert_eq!(
        mark(0, 0),
        &Mark {
            value: Some(56.0),
            open: Some(Open {
                low: Some(56.0),
                high: None,
            })
        }
    );
    assert_eq!(mark(0, 1).open, None);
    assert_eq!(
        mark(1, 1).open,
        Some(Open {
            low: Some(18.0),
            high: Some(120.0),
        })
    );
    let text = svg(&figure).unwrap();
    assert!(
        text.contains("left open by suppression: the value lies in this range"),
        "{text}"
    );
    assert!(!closed.contains("left open by suppression"), "{closed}");
    assert!(
        text.contains("\n120\n"),
        "the scale reaches the end of the range: {text}"
    );
}

#[test]
fn a_range_far_longer_than_its_values_leaves_them_readable() {
    let mut answer = answer(&[("grade", words(&["1", "2"])), ("mean", measured(&[2.5, 3.5]))]);
    answer.intervals = vec![open(0, "mean", Some(0.0), Some(100.0))];
    let text = svg(&drawn(&answer, None).unwrap()).unwrap();
    assert!(
        text.contains("\n4\n") && !text.contains("\n100\n") && !text.contains("\n20\n"),
        "{text}"
    );
}

#[test]
fn series_are_in_their_own_order_and_numbers_say_of_what() {
    let answer = answer(&[
        ("ward", words(&["x", "x", "y", "y"])),
        ("grade", words(&["10", "9", "10", "2"])),
        ("n", whole(&[1, 2, 3, 4])),
    ]);
    let figure = drawn(&answer, None).unwrap();
    assert_eq!(figure.series_names(), ["grade 2", "grade 9", "grade 10"]);
}

#[test]
fn a_value_of_which_nothing_is_known_is_no_range() {
    for kind in [PlotKind::Bar, PlotKind::Line, PlotKind::Survival] {
        let mut answer = answer(&[("time", whole(&[1, 2])), ("share", measured(&[0.9, 0.8]))]);
        answer.intervals = vec![open(1, "share", None, None)];
        let text = svg(&drawn(&answer, Some(kind)).unwrap()).unwrap();
        let marks = text.matches("?\n").count();
        assert_eq!(marks, 2, "in the legend and at one value: {text}");
        assert!(
            text.contains("nobody knows how much") && !text.contains("in this range"),
            "{text}"
        );
    }
}

#[test]
fn a_partial_answer_says_so_under_the_title() {
    let mut answer = answer(&[("sex", words(&["female"])), ("n", whole(&[5]))]);
    answer.coverage[1] = node("b", Status::Unreachable);
    answer.rows_open = true;
    let figure = drawn(&answer, None).unwrap();
    assert_eq!(
        figure.notes[0],
        Note::Warning("1 of 2 nodes answered; without b (unreachable)".to_owned())
    );
    let text = svg(&figure).unwrap();
    assert!(
        text.contains("! 1 of 2 nodes answered; without b (unreachable)"),
        "{text}"
    );
    assert!(text.contains("groups can be missing"), "{text}");
}

#[test]
fn columns_find_their_place_by_their_types() {
    let forms = |answer: &Answer| {
        let figure = drawn(answer, None).unwrap();
        let series = figure.panels.iter().map(|panel| panel.series.len()).collect::<Vec<_>>();
        (figure.title.clone(), figure.panels[0].form, series)
    };
    let districts = answer(&[
        ("district", words(&["x", "y", "x", "y"])),
        ("year", whole(&[2001, 2001, 2002, 2002])),
        ("cases", whole(&[3, 4, 5, 6])),
    ]);
    assert_eq!(
        forms(&districts),
        ("cases by year and district".to_owned(), Form::Lines, vec![2])
    );
    let wards = answer(&[
        ("ward", words(&["x", "y"])),
        ("people", whole(&[3, 4])),
        ("treated", whole(&[2, 3])),
        ("mean_age", measured(&[50.5, 51.5])),
    ]);
    assert_eq!(
        forms(&wards),
        ("people, treated, mean_age by ward".to_owned(), Form::Bars, vec![2, 1])
    );
    let weeks = answer(&[("n", whole(&[3, 3])), ("week", days(&[7, 0]))]);
    let figure = drawn(&weeks, None).unwrap();
    let Places::Scale(points, _) = &figure.x.places else {
        panic!("{figure:?}")
    };
    let labels: Vec<&str> = points.iter().map(|point| point.label.as_str()).collect();
    assert_eq!(labels, ["1970-01-01", "1970-01-08"]);
}

#[test]
fn a_number_that_was_grouped_by_is_no_value_and_units_are_in_the_titles() {
    let answer = answer(&[
        ("age", whole(&[40, 50])),
        ("n", whole(&[5, 5])),
        ("days", measured(&[1.5, 2.5])),
    ]);
    let mut columns = expected(&answer);
    columns[0].is_group = true;
    columns[0].unit = Some("a".to_owned());
    columns[1].unit = Some("{n}".to_owned());
    columns[2].unit = Some("{bed-days}".to_owned());
    let figure = choose::figure(&answer, &columns, None).unwrap();
    assert_eq!(
        (figure.x.title.as_str(), figure.title.as_str()),
        ("age (years)", "n, days by age")
    );
    let titles: Vec<&str> = figure.panels.iter().map(|panel| panel.title.as_str()).collect();
    assert_eq!(titles, ["n", "days (bed-days)"]);
}

#[test]
fn a_survival_curve_begins_with_everybody() {
    let answer = answer(&[
        ("time", whole(&[365, 730, 365])),
        ("share", measured(&[0.9, 0.7, 0.8])),
        ("treated", words(&["yes", "yes", "no"])),
    ]);
    let figure = drawn(&answer, Some(PlotKind::Survival)).unwrap();
    let values = |series: usize| -> Vec<Option<f64>> {
        figure.panels[0].series[series]
            .marks
            .iter()
            .map(|mark| mark.value)
            .collect()
    };
    assert_eq!(figure.series_names(), ["no", "yes"]);
    assert_eq!(values(0), [Some(1.0), Some(0.8), None]);
    assert_eq!(values(1), [Some(1.0), Some(0.9), Some(0.7)]);
    assert_eq!(figure.title, "share over time by treated");
}

/// Width, height and pixels of a PNG of ours.
fn pixels(file: &[u8]) -> (usize, usize, Vec<u8>) {
    assert_eq!(&file[..8], b"\x89PNG\r\n\x1a\n");
    let number = |at: usize| u32::from_be_bytes(file[at..at + 4].try_into().unwrap()) as usize;
    let (width, height) = (number(16), number(20));
    assert_eq!(&file[37..41], b"IDAT");
    let packed = &file[41..41 + number(33)];
    let mut rows = Vec::new();
    flate2::read::ZlibDecoder::new(packed).read_to_end(&mut rows).unwrap();
    assert_eq!(rows.len(), height * (width * 3 + 1));
    let pixels = rows.chunks(width * 3 + 1).flat_map(|row| row[1..].to_vec());
    (width, height, pixels.collect())
}

#[test]
fn a_png_is_the_same_drawing_and_what_its_font_lacks_is_refused() {
    let of = |ward: &str| drawn(&answer(&[("ward", words(&[ward])), ("n", whole(&[3]))]), None).unwrap();
    let report = png::png(&of("東京")).unwrap_err();
    assert!(
        report.message.contains("'東'") && report.remedy.contains(".svg"),
        "{report}"
    );
    let figure = of("Größe");
    let (width, height, pixels) = pixels(&png::png(&figure).unwrap());
    let text = svg(&figure).unwrap();
    assert!(
        text.contains(&format!("width=\"{}\" height=\"{}\"", width / 2, height / 2)),
        "{text}"
    );
    let blue = pixels.chunks(3).filter(|pixel| *pixel == [0x00, 0x72, 0xb2]).count();
    assert!(
        blue * 50 > width * height,
        "{blue} of {} pixels are of the bar",
        width * height
    );
    assert_eq!(&pixels[..3], [255, 255, 255]);
}

#[test]
fn the_same_answer_is_the_same_file() {
    let of = || {
        let mut answer = answer(&[("ward", words(&["x", "y"])), ("n", whole(&[3, 4]))]);
        answer.intervals = vec![open(0, "n", Some(3.0), Some(9.0))];
        drawn(&answer, None).unwrap()
    };
    assert_eq!(svg(&of()).unwrap(), svg(&of()).unwrap());
    assert_eq!(png::png(&of()).unwrap(), png::png(&of()).unwrap());
}

#[test]
fn decimals_are_numbers() {
    let sums = arrow::compute::cast(&whole(&[7, 8]), &DataType::Decimal128(38, 0)).unwrap();
    let figure = drawn(&answer(&[("ward", words(&["x", "y"])), ("n", sums)]), None).unwrap();
    assert_eq!(figure.panels[0].series[0].marks[1].value, Some(8.0));
}
