//! Lists: SeaORM puts the statement together, and it runs like any other.
//!
//! So a list has the same connections, time limits and second tries as every other read, and one struct per table reads
//! both.

use super::query::{QueryAs, ready};
use super::value::{FromRow, Value};
use super::{Pool, refused, unavailable};
use crate::StoreError;
use sea_orm::sea_query::{self, Expr, PostgresQueryBuilder, SelectStatement, SqliteQueryBuilder};
use sea_orm::{EntityTrait, QueryTrait, Select};

/// All rows of a list.
pub(crate) async fn fetch<E>(rows: Select<E>, on: &Pool) -> Result<Vec<E::Model>, StoreError>
where
    E: EntityTrait,
    E::Model: FromRow,
{
    statement::<E::Model>(&rows.into_query(), on)?.fetch_all(on).await.map_err(refused)
}

/// How many rows a list has.
pub(crate) async fn count<E: EntityTrait>(rows: Select<E>, on: &Pool) -> Result<u64, StoreError> {
    let rows = rows.into_query().clear_order_by().to_owned();
    let count = SelectStatement::new().expr(Expr::cust("COUNT(*)")).from_subquery(rows, "listed").to_owned();
    let (count,) = statement::<(i64,)>(&count, on)?.fetch_one(on).await.map_err(refused)?;
    Ok(u64::try_from(count).unwrap_or(0))
}

fn statement<T: FromRow>(select: &SelectStatement, on: &Pool) -> Result<QueryAs<T>, StoreError> {
    let (sql, values) = match on {
        Pool::Sqlite(_) => select.build(SqliteQueryBuilder),
        Pool::Postgres(_) => select.build(PostgresQueryBuilder),
    };
    Ok(ready(sql, values.into_iter().map(value).collect::<Result<_, _>>()?))
}

/// The types that our tables have. `LIMIT` and `OFFSET` are unsigned here and signed there.
fn value(value: sea_query::Value) -> Result<Value, StoreError> {
    use sea_query::Value as From;
    Ok(match value {
        From::Bool(value) => Value::Bool(value),
        From::SmallInt(value) => Value::Small(value),
        From::Int(value) => Value::Int(value),
        From::BigInt(value) => Value::Big(value),
        From::BigUnsigned(value) => Value::Big(value.map(|value| i64::try_from(value).unwrap_or(i64::MAX))),
        From::Double(value) => Value::Real(value),
        From::String(value) => Value::Text(value),
        From::Bytes(value) => Value::Bytes(value),
        From::Uuid(value) => Value::Id(value),
        other => return Err(unavailable(sqlx::Error::Encode(format!("a list asks for a value of no column: {other:?}").into()))),
    })
}
