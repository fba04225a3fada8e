use jiff::civil::{Weekday, time};
use terms::Purpose;

use super::visible;
use crate::{Duty, Lang, Quota, RowFilter, Window};

#[test]
fn a_third_language_is_refused() {
    assert!("fr".parse::<Lang>().is_err());
    assert!("DE".parse::<Lang>().is_err());
    assert_eq!("de".parse(), Ok(Lang::De));
    assert_eq!("en".parse(), Ok(Lang::En));
}

#[test]
fn no_two_purposes_have_the_same_words_in_either_language() {
    for lang in [Lang::De, Lang::En] {
        let words: std::collections::BTreeSet<_> = Purpose::all().map(|purpose| lang.purpose(purpose)).collect();
        assert_eq!(words.len(), Purpose::all().count());
    }
}

#[test]
fn the_words_of_the_language_are_said_in_both_languages() {
    let window = Window::new(
        vec![Weekday::Sunday, Weekday::Monday],
        time(8, 0, 0, 0),
        time(18, 30, 0, 0),
        "Europe/Berlin",
    )
    .unwrap();
    let quota = Quota {
        per_minute: Some(3),
        per_week: Some(50),
    };
    let consent = RowFilter::Consent(["1.2.3".to_owned(), "1.2.4".to_owned()].into());
    let said = |lang: Lang| {
        [
            lang.window(&window),
            lang.quota(quota).unwrap(),
            lang.duty(&Duty::Delete { within_days: 30 }),
            lang.row_filter(&consent),
            lang.row_filter(&RowFilter::Sql("a\n  AND b".to_owned())),
        ]
    };
    let de = [
        "Mo, So 08:00 bis 18:30 Europe/Berlin",
        "3 mal in der Minute und 50 mal in sieben Tagen",
        "innerhalb von 30 Tagen löschen",
        "nur Zeilen von Menschen, die eingewilligt haben in: 1.2.3, 1.2.4",
        "nur Zeilen mit: a AND b",
    ];
    let en = [
        "Mon, Sun 08:00 to 18:30 Europe/Berlin",
        "3 times a minute and 50 times in seven days",
        "delete within 30 days",
        "only rows of people who consent to: 1.2.3, 1.2.4",
        "only rows with: a AND b",
    ];
    assert_eq!(
        (said(Lang::De), said(Lang::En)),
        (de.map(str::to_owned), en.map(str::to_owned))
    );
    assert_eq!(Lang::De.quota(Quota::default()), None);
}

#[test]
fn what_hides_or_turns_text_is_written_out() {
    assert_eq!(visible("age \u{202e}> 3\u{1b}[2J"), "age \\u{202e}> 3\\u{1b}[2J");
    let filter = RowFilter::Sql("consent\u{200b} -- \u{2066}all".to_owned());
    assert_eq!(
        Lang::En.row_filter(&filter),
        "only rows with: consent\\u{200b} -- \\u{2066}all"
    );
}
