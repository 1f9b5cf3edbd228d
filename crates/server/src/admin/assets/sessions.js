// Sessions that this node holds, by kind and user, and their end at every node.
import { element, order } from "/map.js";

export function serveSessions(section) {
  const form = section.querySelector("form");
  const said = section.querySelector("#said");
  const table = section.querySelector("table");
  const endAll = section.querySelector("#end-all");
  const wanted = () => {
    const { kind, user } = form.elements;
    return { kind: kind.value || null, user: user.value.trim() || null, id: null };
  };

  async function show() {
    try {
      const found = await order("/api/sessions", wanted());
      table.tBodies[0].replaceChildren(...found.sessions.map((session) => row(session, found.now_ms)));
      table.hidden = !found.sessions.length;
      const number = found.sessions.length;
      said.textContent = number
        ? `${number}${found.more ? " of more" : ""} held here`
        : "none of these is held here";
    } catch (error) {
      said.textContent = error.message;
    }
  }

  async function end(what) {
    try {
      const { ended } = await order("/api/sessions/end", what);
      await show();
      said.textContent = `${ended} ended at every node. ${said.textContent}`;
    } catch (error) {
      said.textContent = error.message;
    }
  }

  function row({ id, kind, login, bytes, idle_ms }, now) {
    const cells = [kind, login?.user ?? "", bytes.toLocaleString("en"), span(idle_ms - now)];
    const made = element("tr", {}, element("th", { scope: "row" }, element("code", { textContent: id })));
    made.append(...cells.map((textContent) => element("td", { textContent })));
    const button = element("button", { type: "button", className: "danger", textContent: "End" });
    button.setAttribute("aria-label", `End session ${id}`);
    button.addEventListener("click", () => end({ id }));
    // What is no session is not ended here.
    made.append(element("td", {}, ...(["tls", "auth", "web"].includes(kind) ? [button] : [])));
    return made;
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    show();
  });
  form.elements.user.addEventListener("input", () => { endAll.disabled = !wanted().user; });
  endAll.addEventListener("click", () => {
    const { user } = wanted();
    if (user && confirm(`End all sessions of ${user}, at every node?`)) end({ user });
  });
  section.hidden = false;
}

function span(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds >= 86400) return `${Math.floor(seconds / 86400)}d ${Math.floor((seconds % 86400) / 3600)}h`;
  if (seconds >= 3600) return `${Math.floor(seconds / 3600)}h ${Math.floor((seconds % 3600) / 60)}m`;
  return seconds >= 60 ? `${Math.floor(seconds / 60)}m` : `${seconds}s`;
}
