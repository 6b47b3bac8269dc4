//! Geometric shapes.

use geo_types::{Coord, Line, LineString, Point, Polygon, Rect, coord, line_string};

use crate::live::connect;
use crate::{check, on, refuses_to_read, refuses_to_write};

fn at(x: f64, y: f64) -> Coord {
    coord! { x: x, y: y }
}

fn polygon(corners: &[(f64, f64)]) -> Polygon {
    Polygon::new(LineString::from(corners.to_vec()), Vec::new())
}

#[tokio::test]
async fn r57_points_and_boxes_are_exact() {
    let mut db = connect().await;
    let point = on("point", "point_send");
    check(
        &mut db,
        point,
        &[
            ("(1,2)", Point::new(1.0, 2.0)),
            ("(-0,1e-310)", Point::new(-0.0, 1e-310)),
            (
                "(Infinity,-Infinity)",
                Point::new(f64::INFINITY, f64::NEG_INFINITY),
            ),
            ("(1.7976931348623157e308,0.1)", Point::new(f64::MAX, 0.1)),
        ],
    )
    .await;
    check(&mut db, point, &[("(1,2)", at(1.0, 2.0))]).await;
    let nan: Point = db.fetch_one("select point '(NaN,1)'", ()).await.unwrap();
    assert!(nan.x().is_nan() && nan.y() == 1.0);
    let text: String = db
        .fetch_one("select $1::point::text", (nan,))
        .await
        .unwrap();
    assert_eq!(text, "(NaN,1)");
    check(
        &mut db,
        on("lseg", "lseg_send"),
        &[("[(1,2),(-3,4)]", Line::new(at(1.0, 2.0), at(-3.0, 4.0)))],
    )
    .await;
    let rect = Rect::new(at(-1.0, 5.0), at(3.0, -2.0));
    check(
        &mut db,
        on("box", "box_send"),
        &[
            ("(3,5),(-1,-2)", rect),
            ("(1,1),(1,1)", Rect::new(at(1.0, 1.0), at(1.0, 1.0))),
            ("(0,0),(-0,-0)", Rect::new(at(0.0, 0.0), at(-0.0, -0.0))),
            (
                "(Infinity,1),(0,-Infinity)",
                Rect::new(at(0.0, f64::NEG_INFINITY), at(f64::INFINITY, 1.0)),
            ),
        ],
    )
    .await;
    refuses_to_read::<Point>(&mut db, "circle", &[("<(1,2),3>", "the types don't match")]).await;
}

#[tokio::test]
async fn r57_paths_and_polygons_are_exact_or_refused() {
    let mut db = connect().await;
    check(
        &mut db,
        on("path", "path_send"),
        &[
            ("[(1,2)]", LineString::new(vec![at(1.0, 2.0)])),
            (
                "[(1,2),(3,4),(5,6)]",
                line_string![(x: 1.0, y: 2.0), (x: 3.0, y: 4.0), (x: 5.0, y: 6.0)],
            ),
            (
                "[(1,2),(3,4),(1,2)]",
                line_string![(x: 1.0, y: 2.0), (x: 3.0, y: 4.0), (x: 1.0, y: 2.0)],
            ),
        ],
    )
    .await;
    refuses_to_read::<LineString>(
        &mut db,
        "path",
        &[(
            "((1,2),(3,4))",
            "the path is closed, which a geo_types::LineString",
        )],
    )
    .await;
    refuses_to_write(
        &mut db,
        "path",
        &[(LineString::empty(), "the line has no points")],
    )
    .await;
    check(
        &mut db,
        on("polygon", "poly_send"),
        &[
            ("((1,2))", polygon(&[(1.0, 2.0)])),
            ("((1,2),(3,4))", polygon(&[(1.0, 2.0), (3.0, 4.0)])),
            (
                "((0,0),(4,0),(4,3))",
                polygon(&[(0.0, 0.0), (4.0, 0.0), (4.0, 3.0)]),
            ),
            (
                "((0,0),(4,0),(-0,0))",
                polygon(&[(0.0, 0.0), (4.0, 0.0), (-0.0, 0.0)]),
            ),
        ],
    )
    .await;
    refuses_to_read::<Polygon>(
        &mut db,
        "polygon",
        &[(
            "((0,0),(4,0),(4,3),(0,0))",
            "the last corner of the polygon is the first again",
        )],
    )
    .await;
    let hole = line_string![(x: 1.0, y: 1.0), (x: 2.0, y: 1.0), (x: 2.0, y: 2.0)];
    let outside = LineString::from(vec![(0.0, 0.0), (4.0, 0.0), (4.0, 3.0)]);
    refuses_to_write(
        &mut db,
        "polygon",
        &[
            (Polygon::new(outside, vec![hole]), "the polygon has holes"),
            (Polygon::empty(), "the polygon has no corners"),
        ],
    )
    .await;
}
