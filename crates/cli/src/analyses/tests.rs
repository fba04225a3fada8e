use super::sheet::p_value;
use super::*;
use federation::analyses::Number;

#[test]
fn an_open_number_is_never_shown_without_what_it_can_be() {
    let open = Number {
        value: Some(12.0),
        open: Some((Some(12.0), None)),
        bin: None,
    };
    let row = Row::default().with("group", "a").with("n", Value::Pooled(open));
    let sheet = Sheet::new("rows", [row.clone()]);
    let shown = sheet::table(&sheet);
    assert!(shown.contains("12 [12 … ?]"), "{shown}");
    assert_eq!(
        Json::Object(row.as_json())["open"]["n"],
        json!({ "low": 12.0, "high": null })
    );
}

#[test]
fn numbers_have_the_digits_that_say_something() {
    let shown = [
        0.0,
        3668.0,
        54.894_500_1,
        0.000_123_456_78,
        1.5e-9,
        123_456.789,
        f64::NAN,
    ];
    let texts = ["0", "3668", "54.8945", "0.000123457", "1.50000e-9", "123457", "–"];
    assert_eq!(shown.map(figures), texts);
    assert_eq!(
        [0.5, 0.012_34, 1e-20, 3.2e-7].map(p_value),
        ["0.5000", "0.0123", "<2e-16", "3.20e-7"]
    );
}
