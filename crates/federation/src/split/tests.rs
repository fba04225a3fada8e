use trust::Digest;

use super::*;

const COLLECTION: &str = "id = \"beds\"\ntitle = \"Beds\"\npersonal = false\n[columns.district]\ntype = \"text\"\n\
                          role = [\"group\", \"filter\"]\n[columns.beds]\ntype = \"integer\"\nrole = \"measure\"\n";

fn collections() -> Collections {
    let files = [
        ("space.toml", "id = \"oncology\"\ntitle = \"Oncology\"\n"),
        ("members.toml", ""),
        ("collections/beds.toml", COLLECTION),
    ];
    let files = files.map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec()));
    policy::Rules::compile_files(1, Digest::of(b""), &files.into())
        .unwrap()
        .collections
}

fn own(folder: &std::path::Path, text: &str) -> Tables {
    let file = folder.join("own.csv");
    std::fs::write(&file, text).unwrap();
    let mut tables = Tables::default();
    tables.add("own", &file).unwrap();
    tables
}

#[tokio::test]
async fn a_question_is_remembered_by_its_text_but_not_with_own_tables_nor_if_it_is_refused() {
    let (known, all) = (Known::default(), collections());
    let remembered = || known.0.lock().unwrap().len();
    let split = async |sql: &str, tables: &Tables| {
        let split = known.split(sql, &Parameters::default(), &all, &all, tables).await;
        split.map(|split| split.rest.schema().fields().len())
    };
    let none = Tables::default();
    split("SELECT nothing FROM beds", &none).await.unwrap_err();
    assert_eq!(remembered(), 0);

    let folder = tempfile::tempdir().unwrap();
    let with_own = "SELECT own.* FROM own JOIN (SELECT district, sum(beds) AS beds FROM beds GROUP BY district) ON name = district";
    let (one, two) = (own(folder.path(), "name\na\n"), own(folder.path(), "name,size\na,1\n"));
    assert_eq!(split(with_own, &one).await, Ok(1));
    assert_eq!(split(with_own, &two).await, Ok(2));
    split(with_own, &none).await.unwrap_err();
    assert_eq!(remembered(), 0);

    let plain = "SELECT district, sum(beds) AS beds FROM beds GROUP BY district";
    for _ in 0..2 {
        assert_eq!(split(plain, &none).await, Ok(2));
        assert_eq!(remembered(), 1);
    }
    split("SELECT district FROM beds", &one).await.unwrap();
    assert_eq!(remembered(), 1);
}

#[tokio::test]
async fn questions_that_are_remembered_are_bounded() {
    let (known, all) = (Known::default(), collections());
    for limit in 0..=KNOWN_MAX {
        let sql = format!("SELECT district FROM beds LIMIT {limit}");
        let (none, tables) = (Parameters::default(), Tables::default());
        known.split(&sql, &none, &all, &all, &tables).await.unwrap();
        assert!(known.0.lock().unwrap().len() <= KNOWN_MAX);
    }
    let long = format!("SELECT district FROM beds{}", " ".repeat(KNOWN_BYTES_MAX));
    let before = known.0.lock().unwrap().len();
    known
        .split(&long, &Parameters::default(), &all, &all, &Tables::default())
        .await
        .unwrap();
    assert_eq!(known.0.lock().unwrap().len(), before);
}
