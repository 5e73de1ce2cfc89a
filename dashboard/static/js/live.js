// One WebSocket per tab. A frame is acknowledged after it was painted: a hidden or slow tab gets
// fewer frames and newer ones. The cursor is the place in the lane of events: with it a new
// connection, to this server or the next, goes on without a hole.

import { token } from "./api.js";

const BASE_MS = 250;
const CAP_MS = 8000;
const LASTED_MS = 10000;
const SILENT_MS = 15000;

export class Live extends EventTarget {
  constructor() {
    super();
    this.topics = new Map(); // topic -> how many want it
    this.cursor = null;
    this.state = "connecting";
    this.why = "";
    this.losses = 0;
    this.frames = 0;
    this.heard = 0;
    this.rtt = null;
    this.socket = null;
    this.stopped = false;
  }

  start() {
    this.stopped = false;
    this.#dial();
    setInterval(() => this.#watch(), 1000);
  }

  /** Go on at once: after a token was given, or when the network is back. */
  again() {
    this.losses = 0;
    this.stopped = false;
    clearTimeout(this.timer);
    this.socket?.close();
    this.#dial();
  }

  /** Want topics; returns the function that lets go of them. */
  want(...topics) {
    const more = topics.filter((t) => !this.topics.has(t));
    for (const t of topics) this.topics.set(t, (this.topics.get(t) ?? 0) + 1);
    if (more.length) this.#send({ op: "subscribe", topics: more });
    return () => {
      const less = [];
      for (const t of topics) {
        const left = (this.topics.get(t) ?? 0) - 1;
        if (left > 0) this.topics.set(t, left);
        else if (this.topics.delete(t)) less.push(t);
      }
      if (less.length) this.#send({ op: "unsubscribe", topics: less });
    };
  }

  #dial() {
    if (this.stopped) return;
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}/api/v1/live/ws`);
    this.socket = socket;
    const began = performance.now();
    socket.onopen = () => {
      socket.send(JSON.stringify({
        op: "hello", token: token(), cursor: this.cursor, topics: [...this.topics.keys()],
      }));
    };
    socket.onmessage = (message) => {
      if (socket === this.socket) this.#take(JSON.parse(message.data), message.data.length, socket);
    };
    socket.onclose = (event) => {
      if (socket !== this.socket) return;
      this.socket = null;
      if (performance.now() - began > LASTED_MS) this.losses = 0;
      this.losses += 1;
      if (event.code === 4401 || event.code === 4403) {
        this.stopped = true;
        this.#tell("refused", event.reason);
        this.dispatchEvent(new Event("token"));
        return;
      }
      this.#tell("reconnecting", event.reason);
      const wait = Math.min(CAP_MS, BASE_MS * 2 ** Math.min(this.losses, 6));
      this.timer = setTimeout(() => this.#dial(), wait * (0.5 + Math.random() / 2));
    };
  }

  #take(frame, size, socket) {
    this.heard = performance.now();
    if (frame.error) {
      this.dispatchEvent(new CustomEvent("problem", { detail: frame.error }));
      return;
    }
    this.frames += 1;
    this.size = size;
    if (frame.cursor) this.cursor = frame.cursor;
    this.skew = frame.time_ms - Date.now();
    this.#tell("live", "");
    if (frame.reset) this.dispatchEvent(new Event("reset"));
    this.dispatchEvent(new CustomEvent("frame", { detail: frame }));
    requestAnimationFrame(() => {
      if (socket.readyState === WebSocket.OPEN) {
        socket.send(JSON.stringify({ op: "ack", n: frame.n }));
      }
    });
  }

  #watch() {
    // An open socket is not yet fresh data.
    const quiet = performance.now() - this.heard;
    if (this.state === "live" && quiet > SILENT_MS && !document.hidden) this.#tell("silent", "");
  }

  #send(message) {
    if (this.socket?.readyState === WebSocket.OPEN && this.frames) {
      this.socket.send(JSON.stringify(message));
    }
  }

  #tell(state, why) {
    if (state === this.state && why === this.why) return;
    this.state = state;
    this.why = why;
    this.dispatchEvent(new Event("state"));
  }
}

export const live = new Live();
