//! The rows of one node that a model is about, in memory: only the columns that it needs, and only rows in which all of them are known and
//! whose weight, if they have one, is not 0.

/// Rows, person by person.
#[derive(Debug, Default)]
pub struct Frame {
    /// One for each of the design's needs, all of the same length.
    pub columns: Vec<Column>,
    /// Who each row is about, as a number; all rows of a person stand together. Empty for data that are not about people.
    pub people: Vec<i64>,
    /// Rows.
    pub rows: usize,
}

/// The values of one column.
#[derive(Debug)]
pub enum Column {
    /// Numbers.
    Numbers(Vec<f64>),
    /// Indices of declared values.
    Codes(Vec<u16>),
}

impl Column {
    pub(crate) fn numbers(&self, from: usize, rows: usize) -> &[f64] {
        match self {
            Column::Numbers(values) => &values[from..from + rows],
            Column::Codes(_) => &[],
        }
    }

    pub(crate) fn codes(&self, from: usize, rows: usize) -> &[u16] {
        match self {
            Column::Codes(codes) => &codes[from..from + rows],
            Column::Numbers(_) => &[],
        }
    }

    /// Bytes that it holds.
    pub fn bytes(&self) -> usize {
        match self {
            Column::Numbers(values) => values.capacity() * size_of::<f64>(),
            Column::Codes(codes) => codes.capacity() * size_of::<u16>(),
        }
    }
}

impl Frame {
    /// Adds rows of other people.
    pub fn append(&mut self, other: Self) {
        self.rows += other.rows;
        self.people.extend(other.people);
        for (column, more) in self.columns.iter_mut().zip(other.columns) {
            match (column, more) {
                (Column::Numbers(all), Column::Numbers(more)) => all.extend(more),
                (Column::Codes(all), Column::Codes(more)) => all.extend(more),
                // Both follow from the same need.
                (Column::Numbers(_), Column::Codes(_)) | (Column::Codes(_), Column::Numbers(_)) => {}
            }
        }
    }

    /// Makes room for so many rows more, and no others.
    pub fn reserve(&mut self, rows: usize) {
        self.people.reserve_exact(rows);
        for column in &mut self.columns {
            match column {
                Column::Numbers(values) => values.reserve_exact(rows),
                Column::Codes(codes) => codes.reserve_exact(rows),
            }
        }
    }

    /// Bytes that it holds.
    pub fn bytes(&self) -> usize {
        let columns = self.columns.iter().map(Column::bytes);
        columns.sum::<usize>() + self.people.capacity() * size_of::<i64>()
    }
}
