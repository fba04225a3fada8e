//! What there is to ask, as Flight SQL lists it: one catalog, the collections that the person may query, and the tables about the
//! last answer. And what the server can do.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use arrow_flight::error::FlightError;
use arrow_flight::sql::metadata::{
    SqlInfoData, SqlInfoDataBuilder, XdbcTypeInfo, XdbcTypeInfoData, XdbcTypeInfoDataBuilder,
};
use arrow_flight::sql::{
    CommandGetCatalogs, CommandGetDbSchemas, CommandGetSqlInfo, CommandGetTableTypes, CommandGetTables,
    CommandGetXdbcTypeInfo, Nullable, Searchable, SqlInfo, SqlNullOrdering, SqlSupportedCaseSensitivity,
    SqlSupportedGroupBy, SqlSupportedTransaction, SupportedSqlGrammar, XdbcDataType, XdbcDatetimeSubcode,
};
use engine::query::NODE_COLUMN;
use engine::read;
use policy::{Collection, Column, Queryable};
use terms::{Report, limit};

use super::own::{COVERAGE, INTERVALS, OWN_SCHEMA};
use super::told::{Told, unencoded};
use crate::split::{CATALOG, SCHEMA};

/// The type of collections, and of the tables about the last answer.
const TABLE: &str = "TABLE";
const SYSTEM_TABLE: &str = "SYSTEM TABLE";

/// A list as Flight SQL wants it.
type Listed = Result<RecordBatch, Report>;

fn listed(built: Result<RecordBatch, FlightError>) -> Listed {
    built.map_err(|error| unencoded(&error))
}

pub(super) fn catalogs(command: CommandGetCatalogs) -> Listed {
    let mut builder = command.into_builder();
    builder.append(CATALOG);
    listed(builder.build())
}

pub(super) fn schemas(command: CommandGetDbSchemas) -> Listed {
    let mut builder = command.into_builder();
    builder.append(CATALOG, SCHEMA);
    builder.append(CATALOG, OWN_SCHEMA);
    listed(builder.build())
}

pub(super) fn types(command: CommandGetTableTypes) -> Listed {
    let mut builder = command.into_builder();
    builder.append(SYSTEM_TABLE);
    builder.append(TABLE);
    listed(builder.build())
}

/// The collections of `queryable` and the tables about the last answer, with their columns where they are asked for.
pub(super) fn tables(command: CommandGetTables, queryable: &[Queryable]) -> Listed {
    let mut builder = command.into_builder();
    for open in queryable {
        let schema = columns(open);
        let appended = builder.append(CATALOG, SCHEMA, open.collection.sql_name(), TABLE, &schema);
        appended.map_err(|error| unencoded(&error))?;
    }
    let (nothing, own) = (Told::default(), |batch: RecordBatch| batch.schema());
    for (name, schema) in [
        (COVERAGE, own(nothing.coverage()?)),
        (INTERVALS, own(nothing.intervals()?)),
    ] {
        let appended = builder.append(CATALOG, OWN_SCHEMA, name, SYSTEM_TABLE, &schema);
        appended.map_err(|error| unencoded(&error))?;
    }
    listed(builder.build())
}

/// The columns of a collection that are open to the person, with what they are in words.
fn columns(open: &Queryable) -> Schema {
    let Queryable {
        collection, columns, ..
    } = open;
    let schema = read::query_schema(collection);
    let shown = schema.fields().iter().filter(|field| columns.contains(field.name()));
    let described = |field: &Arc<Field>| {
        let remarks = match collection.column(field.name()) {
            Some(column) => remarks(column),
            None => format!("{NODE_COLUMN}: the institution that answered"),
        };
        field
            .as_ref()
            .clone()
            .with_metadata(field_metadata(collection, remarks))
    };
    Schema::new(shown.map(described).collect::<Vec<_>>())
}

/// What JDBC shows of a column.
fn field_metadata(collection: &Collection, remarks: String) -> HashMap<String, String> {
    let said = [
        ("CATALOG_NAME", CATALOG.to_owned()),
        ("SCHEMA_NAME", SCHEMA.to_owned()),
        ("TABLE_NAME", collection.sql_name()),
        ("REMARKS", remarks),
        ("IS_READ_ONLY", "1".to_owned()),
    ];
    said.map(|(key, value)| (format!("ARROW:FLIGHT:SQL:{key}"), value))
        .into()
}

/// `group, filter; values "1", "2"; unit a`.
fn remarks(column: &Column) -> String {
    let roles = &column.roles;
    let roles = [
        (roles.group, "group"),
        (roles.filter, "filter"),
        (roles.measure, "measure"),
    ];
    let roles: Vec<&str> = roles.iter().filter(|(has, _)| *has).map(|(_, role)| *role).collect();
    let unit = column.unit.as_ref().map(|unit| format!("unit {unit}"));
    let code = column.code.as_ref().map(|code| format!("code {code}"));
    let parts = [Some(roles.join(", ")), Some(column.describe_domain()), unit, code];
    parts
        .into_iter()
        .flatten()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join("; ")
}

fn nothing<const N: usize>(fields: [(&str, DataType, bool); N]) -> RecordBatch {
    let fields = fields.map(|(name, kind, nullable)| Field::new(name, kind, nullable));
    let schema: SchemaRef = Arc::new(Schema::new(fields.to_vec()));
    RecordBatch::new_empty(schema)
}

/// None is listed; docs/data-users.md says along which columns collections are joined.
pub(super) fn primary_keys() -> RecordBatch {
    nothing([
        ("catalog_name", DataType::Utf8, true),
        ("db_schema_name", DataType::Utf8, true),
        ("table_name", DataType::Utf8, false),
        ("column_name", DataType::Utf8, false),
        ("key_sequence", DataType::Int32, false),
        ("key_name", DataType::Utf8, true),
    ])
}

/// None is listed either. Exported, imported and cross reference have one form.
pub(super) fn foreign_keys() -> RecordBatch {
    nothing([
        ("pk_catalog_name", DataType::Utf8, true),
        ("pk_db_schema_name", DataType::Utf8, true),
        ("pk_table_name", DataType::Utf8, false),
        ("pk_column_name", DataType::Utf8, false),
        ("fk_catalog_name", DataType::Utf8, true),
        ("fk_db_schema_name", DataType::Utf8, true),
        ("fk_table_name", DataType::Utf8, false),
        ("fk_column_name", DataType::Utf8, false),
        ("key_sequence", DataType::Int32, false),
        ("fk_key_name", DataType::Utf8, true),
        ("pk_key_name", DataType::Utf8, true),
        ("update_rule", DataType::UInt8, false),
        ("delete_rule", DataType::UInt8, false),
    ])
}

pub(super) fn sql_info(command: CommandGetSqlInfo) -> Listed {
    let data = SQL_INFO.as_ref().map_err(|error| unencoded(error))?;
    listed(command.into_builder(data).build())
}

pub(super) fn column_types(command: CommandGetXdbcTypeInfo) -> Listed {
    let data = TYPES.as_ref().map_err(|error| unencoded(error))?;
    listed(command.into_builder(data).build())
}

/// What the server says of itself. Built once, from constants.
static SQL_INFO: LazyLock<Result<SqlInfoData, FlightError>> = LazyLock::new(|| {
    let mut info = SqlInfoDataBuilder::new();
    info.append(SqlInfo::FlightSqlServerName, "Datenraum");
    info.append(SqlInfo::FlightSqlServerVersion, env!("CARGO_PKG_VERSION"));
    info.append(SqlInfo::FlightSqlServerArrowVersion, "1.3");
    info.append(SqlInfo::FlightSqlServerReadOnly, true);
    info.append(SqlInfo::FlightSqlServerSql, true);
    info.append(SqlInfo::FlightSqlServerSubstrait, false);
    info.append(
        SqlInfo::FlightSqlServerTransaction,
        SqlSupportedTransaction::None as i32,
    );
    info.append(SqlInfo::FlightSqlServerCancel, true);
    info.append(SqlInfo::FlightSqlServerStatementTimeout, 0_i32);
    info.append(SqlInfo::FlightSqlServerTransactionTimeout, 0_i32);
    info.append(SqlInfo::SqlDdlCatalog, false);
    info.append(SqlInfo::SqlDdlSchema, false);
    info.append(SqlInfo::SqlDdlTable, false);
    info.append(
        SqlInfo::SqlIdentifierCase,
        SqlSupportedCaseSensitivity::SqlCaseSensitivityLowercase as i32,
    );
    info.append(
        SqlInfo::SqlQuotedIdentifierCase,
        SqlSupportedCaseSensitivity::SqlCaseSensitivityCaseInsensitive as i32,
    );
    info.append(SqlInfo::SqlIdentifierQuoteChar, "\"");
    info.append(SqlInfo::SqlAllTablesAreSelectable, true);
    info.append(SqlInfo::SqlNullOrdering, SqlNullOrdering::SqlNullsSortedHigh as i32);
    info.append(SqlInfo::SqlSupportsColumnAliasing, true);
    info.append(
        SqlInfo::SqlSupportedGroupBy,
        1_i32 << SqlSupportedGroupBy::SqlGroupByUnrelated as i32,
    );
    info.append(
        SqlInfo::SqlSupportedGrammar,
        1_i32 << SupportedSqlGrammar::SqlMinimumGrammar as i32,
    );
    info.append(SqlInfo::SqlSelectForUpdateSupported, false);
    info.append(SqlInfo::SqlTransactionsSupported, false);
    info.append(SqlInfo::SqlBatchUpdatesSupported, false);
    info.append(SqlInfo::SqlSavepointsSupported, false);
    info.append(SqlInfo::SqlSchemaTerm, "schema");
    info.append(SqlInfo::SqlCatalogTerm, "catalog");
    info.append(SqlInfo::SqlCatalogAtStart, true);
    info.append(SqlInfo::SqlMaxStatements, limit::GATEWAY_PREPARED_MAX as i64);
    info.append(SqlInfo::SqlMaxConnections, limit::GATEWAY_CONNECTIONS_MAX as i64);
    info.append(SqlInfo::SqlMaxStatementLength, limit::SQL_BYTES_MAX as i64);
    info.build()
});

/// The types of columns.
static TYPES: LazyLock<Result<XdbcTypeInfoData, FlightError>> = LazyLock::new(|| {
    let mut types = XdbcTypeInfoDataBuilder::new();
    let of = |name: &str, kind: XdbcDataType, size: i32| XdbcTypeInfo {
        type_name: name.to_owned(),
        local_type_name: Some(name.to_owned()),
        data_type: kind,
        sql_data_type: kind,
        column_size: Some(size),
        nullable: Nullable::NullabilityNullable,
        searchable: Searchable::Full,
        ..XdbcTypeInfo::default()
    };
    let quoted = |before: &str, info: XdbcTypeInfo| XdbcTypeInfo {
        literal_prefix: Some(before.to_owned()),
        literal_suffix: Some("'".to_owned()),
        ..info
    };
    let number = |info: XdbcTypeInfo| XdbcTypeInfo {
        num_prec_radix: Some(10),
        unsigned_attribute: Some(false),
        ..info
    };
    types.append(of("BOOLEAN", XdbcDataType::XdbcBit, 1));
    types.append(number(of("BIGINT", XdbcDataType::XdbcBigint, 19)));
    types.append(number(of("DOUBLE", XdbcDataType::XdbcDouble, 15)));
    let text = of("VARCHAR", XdbcDataType::XdbcVarchar, i32::MAX);
    types.append(quoted(
        "'",
        XdbcTypeInfo {
            case_sensitive: true,
            ..text
        },
    ));
    let date = of("DATE", XdbcDataType::XdbcDate, 10);
    types.append(quoted(
        "DATE '",
        XdbcTypeInfo {
            sql_data_type: XdbcDataType::XdbcDatetime,
            // 1 is year and date; the library has one name for both.
            datetime_subcode: Some(XdbcDatetimeSubcode::XdbcSubcodeYear),
            ..date
        },
    ));
    let time = of("TIMESTAMP", XdbcDataType::XdbcTimestamp, 26);
    types.append(quoted(
        "TIMESTAMP '",
        XdbcTypeInfo {
            sql_data_type: XdbcDataType::XdbcDatetime,
            datetime_subcode: Some(XdbcDatetimeSubcode::XdbcSubcodeTimestamp),
            ..time
        },
    ));
    types.build()
});
