//! Tests of what needs no process of its own; that spans and reports arrive is told by stories.

use super::spans::headers;

#[test]
fn headers_are_read_as_the_environment_of_opentelemetry_has_them() {
    let read = headers("Authorization=Bearer a=b, x-scope = one");
    assert_eq!(read["Authorization"], "Bearer a=b");
    assert_eq!(read["x-scope"], "one");
    assert_eq!(read.len(), 2);
}
