//! A map of places as GeoJSON: rates are joined to its features by one of their properties.

use std::path::Path;

use federation::analyses::rates::Place;
use serde_json::{Value as Json, json};
use terms::{Problem, Report};

use crate::board::folder;
use crate::plot::map::{Map, Shape};

/// Features with a key.
#[derive(Debug)]
pub(super) struct Places {
    json: Json,
    key: String,
}

impl Places {
    /// Reads a FeatureCollection of polygons.
    ///
    /// # Errors
    /// If the file is none, or no feature has the key.
    pub(super) fn read(file: &Path, key: &str) -> Result<Self, Report> {
        let text = std::fs::read_to_string(file);
        let text = text.map_err(|error| Problem::FileMissing.report(format!("{}: {error}", file.display())))?;
        let unfit = |what: &str| {
            let report = Problem::OwnFile.report(format!("{} {what}", file.display()));
            report.remedy("give a GeoJSON FeatureCollection of polygons in longitude and latitude, and name its key with --geojson-key")
        };
        let json: Json = serde_json::from_str(&text).map_err(|_| unfit("is not JSON"))?;
        let features = json["features"].as_array().ok_or_else(|| unfit("has no features"))?;
        if !features.iter().any(|feature| !feature["properties"][key].is_null()) {
            return Err(unfit(&format!("has no feature with the property {key}")));
        }
        Ok(Self {
            json,
            key: key.to_owned(),
        })
    }

    fn features(&self) -> &[Json] {
        self.json["features"].as_array().map_or(&[], Vec::as_slice)
    }

    fn key_of(&self, feature: &Json) -> Option<String> {
        match &feature["properties"][&self.key] {
            Json::String(text) => Some(text.clone()),
            Json::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }

    fn place<'p>(&self, feature: &Json, places: &'p [Place]) -> Option<&'p Place> {
        let key = self.key_of(feature)?;
        places.iter().find(|place| place.level.as_ref() == Some(&key))
    }

    /// Places that no feature has.
    pub(super) fn unmatched(&self, places: &[Place]) -> Vec<String> {
        let known: Vec<String> = self
            .features()
            .iter()
            .filter_map(|feature| self.key_of(feature))
            .collect();
        let names = places.iter().filter_map(|place| place.level.clone());
        names.filter(|name| !known.contains(name)).collect()
    }

    /// Writes the map with the rates among the properties; of a place whose rate is not known they are null.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(super) fn write(&self, file: &Path, places: &[Place]) -> Result<(), Report> {
        let mut json = self.json.clone();
        let rates: Vec<Option<&Place>> = self
            .features()
            .iter()
            .map(|feature| self.place(feature, places))
            .collect();
        if let Some(features) = json["features"].as_array_mut() {
            for (feature, place) in features.iter_mut().zip(rates) {
                let crude = place.and_then(|place| place.crude);
                let standardised = place.and_then(|place| place.standardised);
                let more = json!({
                    "cases": place.and_then(|place| place.cases.exact()),
                    "people": place.and_then(|place| place.people.exact()),
                    "crude": crude.map(|rate| rate.rate),
                    "crude_ci_low": crude.map(|rate| rate.ci[0]),
                    "crude_ci_high": crude.map(|rate| rate.ci[1]),
                    "standardised": standardised.map(|rate| rate.rate),
                    "ci_low": standardised.map(|rate| rate.ci[0]),
                    "ci_high": standardised.map(|rate| rate.ci[1]),
                });
                if let (Some(properties), Json::Object(more)) = (feature["properties"].as_object_mut(), more) {
                    properties.extend(more);
                }
            }
        }
        folder::write(file, json.to_string().as_bytes())
    }

    /// What is drawn: the standardised rate where there is one, else the crude one.
    pub(super) fn map(&self, places: &[Place], title: String) -> Map {
        let is_standardised = places.iter().any(|place| place.standardised.is_some());
        let shapes = self.features().iter().map(|feature| {
            let place = self.place(feature, places);
            let rate = place.and_then(|place| match is_standardised {
                true => place.standardised,
                false => place.crude,
            });
            Shape {
                rings: rings(&feature["geometry"]),
                value: rate.map(|rate| rate.rate),
            }
        });
        let kind = if is_standardised { ", age-standardised" } else { "" };
        Map {
            title: format!("{title}{kind}"),
            shapes: shapes.collect(),
            notes: Vec::new(),
            sources: Vec::new(),
        }
    }
}

/// The outer rings of a polygon or of several.
fn rings(geometry: &Json) -> Vec<Vec<(f64, f64)>> {
    let ring = |polygon: &Json| {
        let points = polygon[0].as_array()?.iter();
        let points = points.filter_map(|point| Some((point[0].as_f64()?, point[1].as_f64()?)));
        Some(points.collect())
    };
    let coordinates = &geometry["coordinates"];
    match geometry["type"].as_str() {
        Some("Polygon") => ring(coordinates).into_iter().collect(),
        Some("MultiPolygon") => coordinates
            .as_array()
            .map_or_else(Vec::new, |all| all.iter().filter_map(ring).collect()),
        _ => Vec::new(),
    }
}
