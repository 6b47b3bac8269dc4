//! The shapes of `geo-types`, version 0.7, with coordinates of `f64`.
//!
//! `line` and `circle` have no counterpart there.

use geo_types::{Coord, LineString, Rect};

use super::through::{NoCounterpart, through};
use crate::codec::{LineSegment, Path, Point, Polygon, Rectangle};

through!(
    /// `point`.
    geo_types::Point, Point, [POINT],
    |point| Ok(to_point(point.0)),
    |point| Ok(Self(to_coord(point)))
);
through!(
    /// `point`.
    Coord, Point, [POINT],
    |coord| Ok(to_point(*coord)),
    |point| Ok(to_coord(point))
);
through!(
    /// `lseg`.
    geo_types::Line, LineSegment, [LSEG],
    |line| Ok(LineSegment { start: to_point(line.start), end: to_point(line.end) }),
    |segment| Ok(Self { start: to_coord(segment.start), end: to_coord(segment.end) })
);
through!(
    /// `box`.
    Rect, Rectangle, [BOX],
    |rect| Ok(Rectangle { high: to_point(rect.max()), low: to_point(rect.min()) }),
    |rectangle| Ok(Self::new(to_coord(rectangle.high), to_coord(rectangle.low)))
);
through!(
    /// An open `path`, be its last point the first or not.
    LineString, Path, [PATH], to_path, from_path
);
through!(
    /// A `polygon`. It has no holes, and the first corner isn't repeated at the end, as it is
    /// in the ring of the Rust type.
    geo_types::Polygon, Polygon, [POLYGON], to_polygon, from_polygon
);

#[inline]
fn to_point(coord: Coord) -> Point {
    Point::new(coord.x, coord.y)
}

#[inline]
fn to_coord(point: Point) -> Coord {
    Coord {
        x: point.x,
        y: point.y,
    }
}

#[inline]
fn to_path(line: &LineString) -> Result<Path, NoCounterpart> {
    if line.0.is_empty() {
        return Err(NoCounterpart::new(
            "the line has no points, of which a path has at least one",
        ));
    }
    Ok(Path {
        is_closed: false,
        points: line.0.iter().copied().map(to_point).collect(),
    })
}

#[inline]
fn from_path(path: Path) -> Result<LineString, NoCounterpart> {
    if path.is_closed {
        return Err(NoCounterpart::new(
            "the path is closed, which a geo_types::LineString can't say",
        ));
    }
    Ok(LineString(path.points.into_iter().map(to_coord).collect()))
}

#[inline]
fn to_polygon(polygon: &geo_types::Polygon) -> Result<Polygon, NoCounterpart> {
    if !polygon.interiors().is_empty() {
        return Err(NoCounterpart::new(
            "the polygon has holes, which PostgreSQL's polygons don't have",
        ));
    }
    let ring = polygon.exterior().0.as_slice();
    let corners = match ring {
        [] => {
            return Err(NoCounterpart::new(
                "the polygon has no corners, of which PostgreSQL's have at least one",
            ));
        }
        [first, corners @ .., last] if is_same(*first, *last) => &ring[..=corners.len()],
        corners => corners,
    };
    Ok(Polygon {
        points: corners.iter().copied().map(to_point).collect(),
    })
}

#[inline]
fn from_polygon(polygon: Polygon) -> Result<geo_types::Polygon, NoCounterpart> {
    let mut ring = Vec::with_capacity(polygon.points.len() + 1);
    ring.extend(polygon.points.into_iter().map(to_coord));
    if let [first, .., last] = ring.as_slice() {
        if is_same(*first, *last) {
            return Err(NoCounterpart::new(
                "the last corner of the polygon is the first again, which a \
                 geo_types::Polygon can't tell from the end of its ring",
            ));
        }
    }
    Ok(geo_types::Polygon::new(LineString(ring), Vec::new()))
}

/// Whether two points have the same bits, so that one can be left out and put back.
#[inline]
fn is_same(a: Coord, b: Coord) -> bool {
    let bits = |coord: Coord| (coord.x.to_bits(), coord.y.to_bits());
    bits(a) == bits(b)
}
