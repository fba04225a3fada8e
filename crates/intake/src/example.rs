//! A collection of hospital stays and files for it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use policy::{Collection, Column, ColumnKind, ColumnRoles, Domain};
use tempfile::TempDir;

use crate::{Conforming, Mapping, Misfits, Opened};

fn column(name: &str, kind: ColumnKind, domain: Option<Domain>, bounds: Option<[f64; 2]>) -> Column {
    Column {
        name: name.to_owned(),
        kind,
        roles: ColumnRoles::default(),
        domain,
        bounds,
        unit: None,
        code: None,
        references: None,
    }
}

/// Stays: patient_id, sex, age, haemoglobin, admitted_on, smoker.
pub(crate) fn stays() -> Collection {
    let sexes = ["female", "male"].map(str::to_owned).to_vec();
    Collection {
        id: "stays".parse().unwrap(),
        title: "Stays".to_owned(),
        personal: true,
        privacy_unit: Some("patient_id".to_owned()),
        rows_per_person_max: Some(2),
        key: None,
        columns: vec![
            column("patient_id", ColumnKind::Text, None, None),
            column("sex", ColumnKind::Text, Some(Domain::Texts(sexes)), None),
            column(
                "age",
                ColumnKind::Integer,
                Some(Domain::Bins(vec![0.0, 40.0, 60.0, 120.0])),
                None,
            ),
            Column {
                unit: Some("g/dL".to_owned()),
                ..column("haemoglobin", ColumnKind::Number, None, Some([0.0, 30.0]))
            },
            column("admitted_on", ColumnKind::Date, None, None),
            column("smoker", ColumnKind::Boolean, None, None),
        ],
        filters: BTreeMap::new(),
    }
}

/// A folder with files.
pub(crate) struct Files(TempDir);

impl Files {
    pub(crate) fn of(files: &[(&str, &[u8])]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
        Self(folder)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

/// What of a file with a mapping fits: number of rows, and the misfits.
pub(crate) fn conformed(
    file: &std::path::Path,
    mapping: &Mapping,
) -> Result<(Vec<arrow::array::RecordBatch>, Misfits), terms::Report> {
    let collection = stays();
    let opened = Opened::open(file, &mapping.source)?;
    let conforming = Conforming::new(&opened, mapping, &collection)?;
    let mut misfits = Misfits::default();
    let mut batches = Vec::new();
    for piece in opened.batches(conforming.wanted())? {
        let conformed = conforming.conform(&piece?, &mut misfits)?;
        let columns = collection
            .columns
            .iter()
            .map(|column| column.name.clone())
            .zip(conformed.columns);
        batches.push(
            arrow::array::RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true)))
                .unwrap(),
        );
    }
    misfits.require_allowed(&conforming)?;
    Ok((batches, misfits))
}
