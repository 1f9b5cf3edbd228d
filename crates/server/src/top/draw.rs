//! A model as a frame, of any size. Looks only: nothing is changed, asked or
//! timed here.

use std::time::Instant;

use bytesize::ByteSize;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{
    Block, Clear, Gauge, Paragraph, RenderDirection, Row, Sparkline, Table, Tabs, Wrap,
};

use super::figures;
use super::model::{Model, View};
use crate::admin::{Cache, Member, Status, headline, lookups};

/// The widths of a figure's name and of what is said of it; the rest of a line is
/// its plot.
const NAME_WIDTH: u16 = 17;
const TEXT_WIDTH: u16 = 29;
/// The lines that what went wrong takes at the most: it names the address and the
/// remedy.
const TROUBLE_LINES: u16 = 4;

const KEYS: &str = "q quit   \u{2190}\u{2192} view   p pause   ? help";

const HELP: [&str; 9] = [
    "q, Esc         quit",
    "\u{2190} \u{2192}, Tab, 1-4  another view",
    "p              hold what is shown, or go on",
    "?              this",
    "",
    "Rates are for the last second. A plot has a",
    "second a column, the latest on the right.",
    "",
    "Any key goes back.",
];

const STRONG: Style = Style::new().add_modifier(Modifier::BOLD);
const FAINT: Style = Style::new().fg(Color::DarkGray);
const WRONG: Style = Style::new().fg(Color::Red).add_modifier(Modifier::BOLD);

/// Draws what the model shows.
pub(super) fn draw(model: &Model, now: Instant, frame: &mut Frame<'_>) {
    let trouble = model.trouble(now).map(|(why, time)| {
        let admin = model.admin();
        format!("No answer from {admin} for {} s, trying on: {why}", time.as_secs())
    });
    let lines = trouble.as_ref().map_or(0, |text| lines_of(text, frame.area().width));
    let parts = [1, 1, lines].map(Constraint::Length);
    let parts = [&parts[..], &[Constraint::Min(0), Constraint::Length(1)]].concat();
    let [title, tabs, wrong, body, keys] = Layout::vertical(parts).areas(frame.area());

    draw_title(model, title, frame);
    let names = View::ALL.map(View::name);
    let selected = model.view() as usize;
    frame.render_widget(Tabs::new(names).select(selected).divider(" "), tabs);
    if let Some(trouble) = trouble {
        frame.render_widget(Paragraph::new(trouble).style(WRONG).wrap(Wrap { trim: true }), wrong);
    }
    match model.status() {
        Some(status) => draw_view(model, status, body, frame),
        None => frame.render_widget(Paragraph::new("Nothing is known of the node yet."), body),
    }
    frame.render_widget(Paragraph::new(KEYS).style(FAINT), keys);
    if model.shows_help() {
        draw_help(frame);
    }
}

/// How many lines a text has room in.
fn lines_of(text: &str, width: u16) -> u16 {
    // Words are kept whole, which may take one more.
    let lines = text.chars().count() / usize::from(width.max(1)) + 2;
    u16::try_from(lines).unwrap_or(u16::MAX).min(TROUBLE_LINES)
}

fn draw_title(model: &Model, area: Rect, frame: &mut Frame<'_>) {
    let mut spans = Vec::new();
    if model.is_paused() {
        spans.push(Span::styled("PAUSED ", WRONG));
    }
    let headline = model.status().map_or_else(|| "segue top".to_owned(), headline);
    spans.push(Span::styled(headline, STRONG));
    spans.push(Span::styled(format!("   {}", model.admin()), FAINT));
    frame.render_widget(Line::from(spans), area);
}

/// What is said first, then figures, then, in what room is left, the members.
fn draw_view(model: &Model, status: &Status, area: Rect, frame: &mut Frame<'_>) {
    let view = model.view();
    let figures: Vec<_> = model.tracks().of(view).collect();
    let heads = heads(view, status);
    let height = |lines: usize| Constraint::Length(u16::try_from(lines).unwrap_or(u16::MAX));
    let rows = if view == View::Farm { status.members.len() + 2 } else { 0 };
    let gauge = u16::from(view == View::Cache);
    let parts = [height(heads.len()), Constraint::Length(gauge), height(rows), Constraint::Min(0)];
    let [said, filled, members, plots] = Layout::vertical(parts).areas(area);
    frame.render_widget(Paragraph::new(heads), said);
    match view {
        View::Farm => draw_members(&status.members, members, frame),
        View::Cache => draw_fill(&status.cache, filled, frame),
        View::Multicast | View::Clients => {}
    }
    for (line, area) in figures.iter().zip(plots.rows()) {
        draw_figure(line, area, frame);
    }
}

/// What a view says in words.
fn heads(view: View, status: &Status) -> Vec<Line<'static>> {
    match view {
        View::Farm => {
            let node = &status.node;
            let state = if node.ready { "ready" } else { "not ready" };
            let share = status.portion.share * 100.0;
            vec![Line::from(format!(
                "{}: {state}, version {}, keeps {share:.1} % of the records",
                node.name, node.version
            ))]
        }
        View::Cache => {
            let kinds = status.cache.by_kind.pairs().map(|(kind, count)| format!("{count} {kind}"));
            let (all, shares) = lookups(&status.cache);
            // Together they are wider than 80 columns.
            vec![
                Line::from(format!("records   {}", kinds.join(", "))),
                Line::from(format!("look-ups  {all}")),
                Line::from(shares),
            ]
        }
        View::Multicast => Vec::new(),
        View::Clients => clients(status),
    }
}

/// Gateways, and who would go on with live connections.
fn clients(status: &Status) -> Vec<Line<'static>> {
    let redis = status.redis.as_ref().map(|it| ("redis", it.connections, it.errors));
    let memcached = status.memcached.as_ref().map(|it| ("memcached", it.connections, it.errors));
    let gateways = redis.into_iter().chain(memcached);
    let mut lines: Vec<_> = gateways
        .map(|(name, connections, errors)| {
            Line::from(format!("{name}: {connections} connections, {errors} errors"))
        })
        .collect();
    let live = &status.connections;
    if live.carried {
        let understudy = live.understudy.as_deref().unwrap_or("nobody");
        lines.push(Line::from(format!(
            "live connections: {} protected, {} plain, followed by {understudy}",
            live.protected, live.plain
        )));
    }
    lines
}

fn draw_members(members: &[Member], area: Rect, frame: &mut Frame<'_>) {
    let header = ["member", "state", "lag ms", "portion", "by", "address"];
    let rows = members.iter().map(|member| {
        let (state, style) = match member.state.as_str() {
            "alive" if !member.ready => ("not ready", Style::new().fg(Color::Yellow)),
            "alive" if member.catching_up => ("alive (behind)", Style::new().fg(Color::Yellow)),
            "alive" => ("alive", Style::new().fg(Color::Green)),
            "dead" => ("dead", WRONG),
            other => (other, FAINT),
        };
        let lag = member.lag_ms.map_or_else(|| "-".to_owned(), |lag| format!("{lag:.1}"));
        Row::new([
            Line::from(member.name.clone()),
            Line::styled(state.to_owned(), style),
            Line::from(lag),
            Line::from(member.portion.clone()),
            Line::from(member.by.clone()),
            Line::from(member.address.to_string()),
        ])
    });
    let widths = [
        Constraint::Max(16),
        Constraint::Min(5),
        Constraint::Length(6),
        Constraint::Max(9),
        Constraint::Length(9),
        Constraint::Max(21),
    ];
    let table = Table::new(rows, widths).header(Row::new(header).style(FAINT));
    frame.render_widget(table, area);
}

/// How full the cache memory is.
fn draw_fill(cache: &Cache, area: Rect, frame: &mut Frame<'_>) {
    let bytes = |bytes| ByteSize(bytes).display().iec().to_string();
    let ratio = cache.bytes as f64 / cache.capacity_bytes.max(1) as f64;
    let label = format!("{} of {}", bytes(cache.bytes), bytes(cache.capacity_bytes));
    let gauge = Gauge::default().ratio(ratio.clamp(0.0, 1.0)).label(label);
    frame.render_widget(gauge.gauge_style(Style::new().fg(Color::Blue)), area);
}

fn draw_figure(line: &figures::Line<'_>, area: Rect, frame: &mut Frame<'_>) {
    let widths = [Constraint::Length(NAME_WIDTH), Constraint::Length(TEXT_WIDTH)];
    let widths = [&widths[..], &[Constraint::Min(0)]].concat();
    let [name, text, plot] = Layout::horizontal(widths).areas(area);
    frame.render_widget(Span::styled(line.name, FAINT), name);
    frame.render_widget(Span::raw(line.text), text);
    let latest = line.bars.iter().rev().take(usize::from(plot.width)).copied();
    let bars = Sparkline::default().data(latest).direction(RenderDirection::RightToLeft);
    frame.render_widget(bars.style(Style::new().fg(Color::Cyan)), plot);
}

fn draw_help(frame: &mut Frame<'_>) {
    let lines = HELP.map(Line::from);
    let width = lines.iter().map(Line::width).max().unwrap_or(0);
    let size = [width + 4, HELP.len() + 2].map(|it| u16::try_from(it).unwrap_or(u16::MAX));
    let [width, height] = size.map(Constraint::Length);
    let area = frame.area().centered(width, height);
    frame.render_widget(Clear, area);
    let block = Block::bordered().title(" Keys ");
    frame.render_widget(Paragraph::new(Vec::from(lines)).block(block), area);
}
