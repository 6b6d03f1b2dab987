//! The web server: three addresses, all of them for reading, and one place that decides who may.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, LOCATION, REFERRER_POLICY, SET_COOKIE,
    WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::board::Board;
use super::door::Door;
use super::doorway::{Doorway, Visitor};
use super::pass::{self, Pass};
use super::view;

/// Says which report `/report` would be.
const REPORT_VERSION: HeaderName = HeaderName::from_static("x-report-version");

/// A token that is typed in, with its name, is never longer.
const LONGEST_FORM: usize = 4096;

/// What every request is held against.
#[derive(Clone)]
struct Demands {
    /// Only this machine's own names are answered.
    local: bool,
    /// What visitors have to show.
    pass: Option<Arc<Pass>>,
}

/// Serves until it is dropped.
pub(super) async fn serve(doorway: Doorway, door: Door, board: Arc<Board>) {
    let pass = door.token().map(|token| Pass::new(token.clone(), doorway.address().port(), door.identity().is_some()));
    let demands = Demands { local: door.is_loopback(), pass: pass.map(Arc::new) };
    let routes = Router::new()
        .route("/", get(page))
        .route("/live", get(live))
        .route("/report", get(report))
        .layer(middleware::from_fn_with_state(demands, admit))
        .with_state(board);
    if let Err(error) = axum::serve(doorway, routes.into_make_service_with_connect_info::<Visitor>()).await {
        tracing::warn!(%error, "the dashboard ended; the sweep goes on");
    }
}

/// The one place that decides who may look, around everything: who may not learns nothing of what there is.
///
/// Whoever reaches a loopback address may; but a page from elsewhere that has its own name point here (DNS rebinding) may not, so
/// the name that a browser was told must be this machine's. Where there is a token it has to be shown, in every request's header
/// or once: then a cookie stands for it.
async fn admit(
    State(demands): State<Demands>,
    ConnectInfo(Visitor(guest)): ConnectInfo<Visitor>,
    request: Request,
    next: Next,
) -> Response {
    let mut response = match checked(&demands, request).await {
        Ok(request) => {
            guest.admit();
            next.run(request).await
        }
        Err(refusal) => {
            if refusal.status() == StatusCode::SEE_OTHER {
                guest.admit()
            } else {
                guest.refuse()
            }
            refusal
        }
    };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.entry(CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(view::POLICY));
    response
}

/// The request, if it may go on, or what is answered instead: a refusal, or, to who has just shown the token, the cookie and the
/// address without the token.
async fn checked(demands: &Demands, request: Request) -> Result<Request, Response> {
    if demands.local && !is_local(request.headers()) {
        let words = "ask for this machine by its own name, e.g. http://127.0.0.1 or http://localhost\n";
        return Err((StatusCode::FORBIDDEN, words).into_response());
    }
    let Some(pass) = &demands.pass else { return Ok(request) };
    let query = request.uri().query().unwrap_or_default().as_bytes();
    let by_link = pass.is_in_form(query);
    let is_shown = pass.is_shown(request.headers());
    // The page is served under an address without a token alone: nobody reads it over a shoulder, and no history keeps it.
    let is_link = request.uri().path() == "/" && pass::has_token(query);
    if is_shown && !is_link {
        return Ok(request);
    }
    let is_form = request.method() == Method::POST;
    let form =
        if is_form { to_bytes(request.into_body(), LONGEST_FORM).await.unwrap_or_default() } else { Bytes::new() };
    let cookie = HeaderValue::from_str(&pass.cookie()).ok().filter(|_| by_link || pass.is_in_form(&form));
    let home = HeaderValue::from_static("/");
    Err(match cookie {
        Some(cookie) => (StatusCode::SEE_OTHER, [(SET_COOKIE, cookie), (LOCATION, home)]).into_response(),
        None if is_shown => (StatusCode::SEE_OTHER, [(LOCATION, home)]).into_response(),
        None => (
            StatusCode::UNAUTHORIZED,
            [(WWW_AUTHENTICATE, "Bearer"), (CONTENT_SECURITY_POLICY, view::FORM_POLICY)],
            html(view::token_form(is_form)),
        )
            .into_response(),
    })
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
}
