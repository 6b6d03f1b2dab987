//! The web server: three addresses, all of them for reading.

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::board::Board;
use super::error::DashboardError;
use super::view;

/// Says which report `/report` would be.
const REPORT_VERSION: HeaderName = HeaderName::from_static("x-report-version");

/// Takes the address of a dashboard.
///
/// # Errors
/// If it is not of this machine alone, or cannot be had.
pub fn bind(address: SocketAddr) -> Result<TcpListener, DashboardError> {
    if !address.ip().is_loopback() {
        return Err(DashboardError::NotLoopback(address));
    }
    TcpListener::bind(address).map_err(|error| DashboardError::Listen { address, error })
}

/// Serves until it is dropped.
pub(super) async fn serve(listener: tokio::net::TcpListener, board: Arc<Board>) {
    let routes = Router::new()
        .route("/", get(page))
        .route("/live", get(live))
        .route("/report", get(report))
        .layer(middleware::from_fn(admit))
        .with_state(board);
    if let Err(error) = axum::serve(listener, routes).await {
        tracing::warn!(%error, "the dashboard ended; the sweep goes on");
    }
}

/// The one place that decides who may look.
///
/// Whoever reaches a loopback address may; but a page from elsewhere that has its own name point here (DNS rebinding) may not, so
/// the name that a browser was told must be this machine's. A token for other addresses would be asked for here.
async fn admit(request: Request, next: Next) -> Response {
    if !is_local(request.headers()) {
        return (
            StatusCode::FORBIDDEN,
            "ask for this machine by its own name, e.g. http://127.0.0.1 or http://localhost\n",
        )
            .into_response();
    }
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(view::POLICY));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    response
}

fn is_local(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(HOST).and_then(|host| host.to_str().ok()) else { return false };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

async fn page(State(board): State<Arc<Board>>) -> Response {
    board.look();
    html(view::page(&board))
}

async fn live(State(board): State<Arc<Board>>) -> Response {
    board.look();
    let version = board.report.borrow().version.clone();
    let mut response = html(view::live(&board).into_string());
    if let Ok(version) = HeaderValue::from_str(&version) {
        response.headers_mut().insert(REPORT_VERSION, version);
    }
    response
}

async fn report(State(board): State<Arc<Board>>) -> Response {
    board.look();
    let report = board.report.borrow().clone();
    html(view::report_or_wait(&report.body).to_owned())
}

fn html(text: String) -> Response {
    ([(CONTENT_TYPE, "text/html; charset=utf-8")], Body::from(text)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(host: &'static str) -> bool {
        is_local(&HeaderMap::from_iter([(HOST, HeaderValue::from_static(host))]))
    }

    #[test]
    fn only_this_machines_own_names_are_answered() {
        for host in ["127.0.0.1:8080", "127.0.0.1", "localhost:1", "LOCALHOST", "[::1]:8080", "127.9.9.9:80"] {
            assert!(asked(host), "{host}");
        }
        for host in ["evil.example:8080", "127.0.0.1.evil.example", "10.0.0.1:8080", "[::2]:80", "", "localhost.evil"] {
            assert!(!asked(host), "{host}");
        }
        assert!(!is_local(&HeaderMap::new()));
    }

    #[test]
    fn a_dashboard_for_strangers_is_refused() {
        let everywhere: SocketAddr = "0.0.0.0:0".parse().unwrap();
        let error = bind(everywhere).unwrap_err().to_string();
        assert!(error.contains("0.0.0.0:0") && error.contains("loopback"), "{error}");
        assert!(bind("127.0.0.1:0".parse().unwrap()).is_ok());
    }
}
