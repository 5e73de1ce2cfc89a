// Requests to the API: errors are problems (RFC 9457) with field and hint; tokens never leave the
// header. A token lives as long as its tab.

const V1 = "/api/v1";
const KEY = "cryptotools-token";

export class Problem extends Error {
  constructor(body) {
    super(body.detail || body.title);
    this.status = body.status;
    this.field = body.field ?? "";
    this.hint = body.hint ?? "";
  }
}

let needToken = async () => false;

/** Who asks people for a token; resolves to true once there is one. */
export function onTokenNeeded(ask) {
  needToken = ask;
}

export function token() {
  try {
    return sessionStorage.getItem(KEY);
  } catch {
    return null;
  }
}

export function setToken(value) {
  try {
    if (value) sessionStorage.setItem(KEY, value);
    else sessionStorage.removeItem(KEY);
  } catch { /* storage is off: asked for again after a reload */ }
}

async function ask(method, path, { body, headers = {}, signal } = {}) {
  const said = { ...headers };
  const own = token();
  if (own) said.Authorization = `Bearer ${own}`;
  if (body !== undefined) said["Content-Type"] = "application/json";
  let answer;
  try {
    answer = await fetch(path, {
      method, signal, headers: said, cache: "no-store",
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem({ status: 0, detail: "the API cannot be reached", hint: "is it running?" });
  }
  if (answer.status === 401 && (await needToken())) return ask(method, path, { body, headers, signal });
  if (!answer.ok) {
    const told = await answer.json().catch(() => ({}));
    throw new Problem({ status: answer.status, title: answer.statusText, ...told });
  }
  return answer;
}

function query(params) {
  const given = Object.entries(params ?? {}).filter(([, v]) => v !== undefined && v !== null && v !== "");
  return given.length ? `?${new URLSearchParams(given)}` : "";
}

export const get = async (path, params, options) =>
  (await ask("GET", `${path.startsWith("/") ? path : `${V1}/${path}`}${query(params)}`, options)).json();

/** A command: sent with a key, so that one that is sent twice is obeyed once. */
export async function command(method, path, body, headers = {}) {
  const own = { "Idempotency-Key": crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`, ...headers };
  const answer = await ask(method, `${V1}/${path}`, { body, headers: own });
  return answer.status === 204 ? null : answer.json();
}

/** Save what a path gives as a file. */
export async function download(path, params, name) {
  const answer = await ask("GET", `${V1}/${path}${query(params)}`);
  const url = URL.createObjectURL(await answer.blob());
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

/** All pages of a list, up to `most` items. */
export async function pages(path, params, most = 5000, options) {
  const items = [];
  let cursor;
  do {
    const page = await get(path, { ...params, cursor }, options);
    items.push(...page.items);
    cursor = page.next;
  } while (cursor && items.length < most);
  return items;
}
