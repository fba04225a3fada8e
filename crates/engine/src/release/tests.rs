use datafusion::arrow::datatypes::{Field, Schema};

use datafusion::arrow::array::Int64Array;

use super::*;

/// The middle of an array, of which nothing around it may be left.
fn rebuilt(array: ArrayRef) -> ArrayRef {
    let schema = Schema::new(vec![Field::new("c", array.data_type().clone(), true)]);
    let middle = array.slice(1, 2);
    let batch = normalised(&Arc::new(schema), std::slice::from_ref(&middle), 2).unwrap();
    assert_eq!(batch.column(0), &middle);
    Arc::clone(batch.column(0))
}

#[test]
fn texts_hold_nothing_but_the_texts_that_leave() {
    let hidden = "PID-7";
    for (middle, bytes) in [
        ([Some("a"), Some("bcd")], 4),
        ([Some(""), Some("")], 0),
        ([Some("ab"), None], 2),
        ([None, None], 0),
    ] {
        let texts = [Some(hidden), middle[0], middle[1], Some(hidden)];
        let rebuilt = rebuilt(Arc::new(StringArray::from_iter(texts)));
        let texts = rebuilt.as_string::<i32>();
        assert_eq!((texts.values().len(), texts.offsets()[0]), (bytes, 0), "{middle:?}");
        assert_eq!(rebuilt.to_data().offset(), 0);
    }
}

#[test]
fn numbers_hold_nothing_but_the_numbers_that_leave_and_zeros_behind_nulls() {
    for middle in [[Some(1), Some(2)], [None, Some(2)], [None, None]] {
        let numbers = [Some(4711), middle[0], middle[1], Some(4711)];
        let rebuilt = rebuilt(Arc::new(Int64Array::from_iter(numbers)));
        let data = rebuilt.to_data();
        assert_eq!((data.offset(), data.buffers()[0].len()), (0, 2 * 8));
        let values = rebuilt.as_primitive::<Int64Type>().values();
        assert_eq!(values[..], middle.map(Option::unwrap_or_default));
    }
}
