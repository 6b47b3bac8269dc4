//! Points, lines, segments, boxes, paths, polygons and circles.

use kornak::codec::{Circle, Line, LineSegment, Path, Point, Polygon, Rectangle};

use super::live::connect;
use super::{check_family, check_refused};

#[tokio::test]
async fn r57_shapes_are_exact() {
    let mut connection = connect().await;
    let connection = &mut connection;
    check_family::<Point>(
        connection,
        "point",
        &[
            "(0,0)",
            "(-0,1)",
            "(1.5,-2.25)",
            "(Infinity,-Infinity)",
            "(NaN,1)",
            "(1.7976931348623157e308,5e-324)",
            "(1e22,1e23)",
            "(0.1,123456789012345678)",
        ],
    )
    .await;
    check_family::<Line>(
        connection,
        "line",
        &[
            "{1,-1,0.5}",
            "{0,1,0}",
            "{-0.1,1e300,NaN}",
            "[(0,0),(1,2)]",
            "[(0,0),(0,2)]",
        ],
    )
    .await;
    check_family::<LineSegment>(
        connection,
        "lseg",
        &[
            "[(0,0),(1,1)]",
            "[(1,2),(1,2)]",
            "[(-1e-7,2),(Infinity,NaN)]",
        ],
    )
    .await;
    check_family::<Path>(
        connection,
        "path",
        &[
            "[(0,0)]",
            "((0,0))",
            "((0,0),(1,1),(2,0.5))",
            "[(0,0),(1,1),(-Infinity,1e100)]",
        ],
    )
    .await;
    check_family::<Polygon>(
        connection,
        "polygon",
        &[
            "((0,0))",
            "((0,0),(0,1),(1,1),(1,0))",
            "((1.25,1e-5),(2,-0))",
        ],
    )
    .await;
    check_family::<Circle>(
        connection,
        "circle",
        &["<(0,0),0>", "<(1.5,-2),3.25>", "<(1,1),Infinity>"],
    )
    .await;
}

/// An array of boxes has another delimiter in its text, but not in its binary form.
#[tokio::test]
async fn r57_boxes_are_exact() {
    let mut connection = connect().await;
    check_family::<Rectangle>(
        &mut connection,
        "box",
        &["(1,2),(3,4)", "(0,0),(0,0)", "(-1e300,NaN),(Infinity,0.1)"],
    )
    .await;
}

#[tokio::test]
async fn what_is_no_shape_for_the_server_is_its_error() {
    let mut connection = connect().await;
    let connection = &mut connection;
    check_refused(connection, "path", Path::default()).await;
    check_refused(connection, "polygon", Polygon::default()).await;
    check_refused(connection, "line", Line::default()).await;
    let negative = Circle {
        center: Point::new(0.0, 0.0),
        radius: -1.0,
    };
    check_refused(connection, "circle", negative).await;
}
