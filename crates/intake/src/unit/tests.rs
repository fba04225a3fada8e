use super::*;

fn converted(number: f64, from: &str, to: &str, molar_mass: Option<f64>) -> Option<f64> {
    Conversion::between(from, to, molar_mass).map(|conversion| conversion.of(number))
}

#[test]
fn what_is_no_unit_or_of_another_kind_is_not_converted() {
    for (from, to) in [
        ("mg/dL", "mmol/L"),
        ("mmol/L", "g/L"),
        // UCUM takes a mole for 6 × 10²³, an equivalent for a mole, and so on.
        ("10*9/L", "mmol/L"),
        ("meq/L", "mmol/L"),
        ("mosm/kg", "mmol/kg"),
        ("%", "mmol/mol"),
        ("[IU]/L", "U/L"),
        ("[pH]", "mol/L"),
        ("kg", "m"),
        ("G/l", "g/L"),
        ("Pfund", "kg"),
        ("", "g/L"),
        ("g/L", ""),
        ("g/", "g/L"),
    ] {
        assert_eq!(converted(1.0, from, to, None), None, "{from} to {to}");
    }
    let deep = "(".repeat(60);
    assert_eq!(converted(1.0, &deep, "g", None), None);
    assert_eq!(converted(1.0, &"g".repeat(65), "g", None), None);
    // A molar mass makes no moles of cells or of equivalents.
    for from in ["10*9/L", "meq/L", "m"] {
        assert_eq!(converted(1.0, from, "mmol/L", Some(180.156)), None, "{from}");
    }
}

#[test]
fn units_of_one_kind_are_converted_as_they_are_written_in_laboratories() {
    for (number, from, to, expected) in [
        (12.5, "g/dL", "g/L", 125.0),
        (7.4, "Tsd/µl", "10*9/L", 7.4),
        (7.4, "Tsd./ul", "10*9/L", 7.4),
        (7.4, "G/l", "/uL", 7_400.0),
        (4.9, "Mio/μl", "10*12/L", 4.9),
        (120.0, "mmHg", "kPa", 15.998_640_0),
        (37.0, "°C", "K", 310.15),
        (98.6, "[degF]", "Cel", 37.0),
        (60.0, "U/L", "ukat/L", 1.0),
        (2.0, "IE/ml", "[IU]/L", 2_000.0),
        (25.0, "kg/m²", "kg/m2", 25.0),
        (5.5, "mmol/L", "umol/mL", 5.5),
        (42.0, "%", "1", 0.42),
    ] {
        let got = converted(number, from, to, None).unwrap_or_else(|| panic!("{from} to {to}"));
        assert!(
            (got - expected).abs() <= 1e-6 * expected.abs(),
            "{number} {from} is {got} {to}"
        );
    }
    assert!(is_same("µg/l", "ug/L") && !is_same("g/dL", "g/L") && !is_same("?", "?"));
    assert!(is_unit("mg/dl") && !is_unit("Stück"));
}

#[test]
fn a_mass_is_made_an_amount_by_the_molar_mass_that_was_stated() {
    // Glucose, 180.156 g/mol: 90 mg/dL are 4.9957 mmol/L.
    let glucose = converted(90.0, "mg/dL", "mmol/L", Some(180.156)).unwrap();
    assert!((glucose - 4.995_670_4).abs() < 1e-6, "{glucose}");
    let back = converted(glucose, "mmol/L", "mg/dL", Some(180.156)).unwrap();
    assert!((back - 90.0).abs() < 1e-9, "{back}");
    // Haemoglobin as its monomer, 16,114 g/mol.
    let haemoglobin = converted(13.5, "g/dL", "mmol/L", Some(16_114.0)).unwrap();
    assert!((haemoglobin - 8.377_8).abs() < 1e-4, "{haemoglobin}");
}

#[test]
fn a_unit_is_looked_up_once() {
    let conversions = Conversions::new("g/L", None);
    for _ in 0..3 {
        assert_eq!(
            conversions.from("g/dL").map(|conversion| conversion.of(1.0)),
            Some(10.0)
        );
        assert_eq!(conversions.from("?"), None);
    }
    assert_eq!(conversions.known.lock().unwrap().len(), 2);
    for number in 0..2_000 {
        conversions.from(&number.to_string());
    }
    assert_eq!(conversions.known.lock().unwrap().len(), REMEMBERED_MAX);
}
