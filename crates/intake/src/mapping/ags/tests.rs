use super::*;
use crate::example::Files;

const CHANGES: &str = "from,to,valid_from\n05313,05334,2009-10-21\n05354,05334,2009-10-21\n16056,16063,2021-07-01\n\
    13052,13071,2011-09-04\n13052,13075,2011-09-04\n";

fn ags(digits: usize, changes: &str, as_of: Option<&str>) -> Result<Keys, Report> {
    let files = Files::of(&[("changes.csv", changes.as_bytes())]);
    let ags = Ags {
        digits,
        changes: Some(files.path("changes.csv")),
        as_of: as_of.map(str::to_owned),
    };
    ags.look_up()
}

#[test]
fn what_is_no_level_no_date_or_no_change_is_refused() {
    for (digits, changes, as_of, says) in [
        (4, CHANGES, None, "2, 5 or 8 digits, and not 4"),
        (5, CHANGES, Some("2021"), "as_of is no day"),
        (
            5,
            "from,to\n05313,05334\n",
            None,
            "it has no columns from, to, valid_from",
        ),
        (
            5,
            "from,to,valid_from\n5313,05334,2009-10-21\n",
            None,
            "line 2 has no change from one key of 5 digits",
        ),
        (
            5,
            "from,to,valid_from\n05313,17334,2009-10-21\n",
            None,
            "line 2 has no change",
        ),
        (8, CHANGES, None, "line 2 has no change from one key of 8 digits"),
        (
            5,
            "from,to,valid_from\n05313,05334,21.10.2009\n",
            None,
            "line 2 has a day that is none",
        ),
        (
            5,
            "from,to,valid_from\n05313,05334,2009-10-21\n05334,05313,2010-10-21\n",
            None,
            "05313 is replaced by itself",
        ),
    ] {
        let report = ags(digits, changes, as_of).unwrap_err();
        assert!(report.message.contains(says), "{says}: {report}");
    }
    let without = Ags {
        digits: 5,
        changes: None,
        as_of: Some("2021-07-01".to_owned()),
    };
    assert!(without.look_up().unwrap_err().message.contains("as_of needs changes"));
}

#[test]
fn what_is_no_key_of_the_level_does_not_fit() {
    let ags = ags(5, CHANGES, None).unwrap();
    // Of a Land, of a Kreis that was split, of no Land, with a sign, of no length that keys have.
    for written in [
        "05",
        "5",
        "13052",
        "17001",
        "00001",
        "-5313",
        "0531a",
        "053",
        "053130",
        "",
        "1234567890",
    ] {
        assert_eq!(ags.key(written), None, "{written}");
    }
}

#[test]
fn keys_are_in_full_of_one_level_and_one_date() {
    let now = ags(5, CHANGES, None).unwrap();
    for (written, key) in [
        ("1001", "01001"),
        ("01001", "01001"),
        ("5313000", "05334"),
        ("05354", "05334"),
        ("053340002002", "05334"),
        ("53340002002", "05334"),
        ("16056", "16063"),
        ("16063", "16063"),
    ] {
        assert_eq!(now.key(written).as_deref(), Some(key), "{written}");
    }
    let before = ags(5, CHANGES, Some("2021-06-30")).unwrap();
    assert_eq!(before.key("16056").as_deref(), Some("16056"));
    assert_eq!(before.key("5313").as_deref(), Some("05334"));
    let states = ags(2, "from,to,valid_from\n", None).unwrap();
    assert_eq!(states.key("5313000").as_deref(), Some("05"));
    let places = ags(8, "from,to,valid_from\n", None).unwrap();
    assert_eq!(places.key("053340002002").as_deref(), Some("05334002"));
    assert_eq!(places.key("05334"), None);
}
