// The chart of klines: candles with the forming one, volume, Bollinger, MACD and RSI in panes,
// signals as markers, holes shaded. It draws what it is given and asks for nothing.

import * as format from "./format.js";
import { Bollinger, Macd, Rsi } from "./indicators.js";
import { changed, colours } from "./theme.js";

const MOST_BARS = 5000;
const KEPT_BARS = 4000;
const MOST_MARKERS = 200;

export const STUDIES = { bollinger: "Bollinger", volume: "Volume", macd: "MACD", rsi: "RSI", signals: "Signals", gaps: "Gaps" };

/** Ascending and unique by time, the last one wins: the library does not check, and breaks. */
export function ascending(items) {
  const found = new Map();
  for (const item of items) found.set(item.time, item);
  return [...found.values()].sort((a, b) => a.time - b.time);
}

/** A kline of the API or of a frame as a bar. */
export function barOf(k) {
  const open = k.open_us !== undefined ? k.open_us / 1e6 : Number(k.open_ms) / 1000;
  return {
    time: open, open: Number(k.open), high: Number(k.high), low: Number(k.low), close: Number(k.close),
    volume: Number(k.volume), trades: Number(k.trades), text: k,
    complete: k.complete === true || k.complete === "1", forming: k.status === "forming",
    revision: Number(k.revision ?? 0),
  };
}

export class KlineChart {
  constructor(node, { onHover, onNeedOlder, studies }) {
    const L = window.LightweightCharts;
    this.L = L;
    this.node = node;
    this.onHover = onHover;
    this.studies = new Set(studies);
    this.bars = [];
    this.byTime = new Map();
    this.marks = [];
    this.holes = [];
    this.places = 2;
    this.chart = L.createChart(node, {
      autoSize: true,
      layout: { attributionLogo: true, fontFamily: "inherit", fontSize: 11, panes: { enableResize: true } },
      rightPriceScale: { borderVisible: false, minimumWidth: 76 },
      timeScale: { borderVisible: false, timeVisible: true, secondsVisible: true, rightOffset: 6, barSpacing: 7 },
      crosshair: { mode: L.CrosshairMode.Normal },
      localization: { timeFormatter: (t) => format.stamp(t * 1000, true) },
      handleScale: { axisPressedMouseMove: true },
    });
    this.chart.timeScale().applyOptions({ tickMarkFormatter: (t, type) => this.#tick(t, type) });
    this.#build();
    this.chart.subscribeCrosshairMove((at) => this.#hover(at));
    this.chart.timeScale().subscribeVisibleLogicalRangeChange((range) => {
      if (range && range.from < 20 && this.bars.length && this.bars.length < MOST_BARS) onNeedOlder?.(this.bars[0].time);
    });
    this.restyle = () => this.#style();
    changed.addEventListener("looks", this.restyle);
    changed.addEventListener("zone", this.restyle);
    this.#style();
  }

  destroy() {
    changed.removeEventListener("looks", this.restyle);
    changed.removeEventListener("zone", this.restyle);
    this.chart.remove();
  }

  // ---- data ----

  /** Show bars, oldest first; `keepView`: stay where the reader looks. */
  set(bars, places, keepView = false) {
    const view = keepView ? this.chart.timeScale().getVisibleRange() : null;
    this.places = places;
    this.#take(bars);
    if (view) this.chart.timeScale().setVisibleRange(view);
    else this.now();
  }

  /** Put older bars before those shown. */
  prepend(older) {
    const before = this.bars.length;
    const range = this.chart.timeScale().getVisibleLogicalRange();
    this.#take([...older, ...this.bars]);
    const more = this.bars.length - before;
    if (range) this.chart.timeScale().setVisibleLogicalRange({ from: range.from + more, to: range.to + more });
  }

  /** Take a bar: the forming one as it stands, a final one, or a revision. */
  update(bar) {
    const last = this.bars.at(-1);
    if (last && bar.time < last.time) {
      const known = this.byTime.get(bar.time);
      if (!known || bar.forming || (bar.revision <= known.revision && !known.forming)) return;
      this.#take([...this.bars, bar]); // a revision of the past: everything behind it may change
      return;
    }
    if (last && bar.time === last.time) {
      if (bar.forming && !last.forming) return;
      this.bars[this.bars.length - 1] = bar;
    } else {
      this.bars.push(bar);
      if (this.bars.length > MOST_BARS) {
        this.#take(this.bars.slice(-KEPT_BARS));
        return;
      }
    }
    this.byTime.set(bar.time, bar);
    this.#draw(bar);
  }

  setMarks(marks) {
    this.marks = marks.slice(-MOST_MARKERS);
    this.#drawMarks();
  }

  addMark(mark) {
    this.setMarks([...this.marks, mark]);
  }

  /** Shade holes: {from, to, healed} in seconds. */
  setHoles(holes) {
    this.holes = holes;
    this.#drawHoles();
  }

  // ---- view ----

  now() {
    const bars = this.bars.length;
    this.chart.timeScale().setVisibleLogicalRange({ from: Math.max(-5, bars - this.#fitting()), to: bars + 5 });
  }

  scroll(bars) {
    const range = this.chart.timeScale().getVisibleLogicalRange();
    if (range) this.chart.timeScale().setVisibleLogicalRange({ from: range.from + bars, to: range.to + bars });
  }

  show(time) {
    const at = this.bars.findIndex((bar) => bar.time >= time);
    if (at >= 0) this.chart.timeScale().setVisibleLogicalRange({ from: at - this.#fitting() / 2, to: at + this.#fitting() / 2 });
  }

  /** Show or hide a study; the panes are built anew. */
  toggle(study) {
    if (!this.studies.delete(study)) this.studies.add(study);
    const view = this.chart.timeScale().getVisibleLogicalRange();
    for (const series of this.chart.panes().flatMap((pane) => pane.getSeries())) this.chart.removeSeries(series);
    for (const name of ["volume", "bands", "macd", "rsi", "rsiLines", "line"]) this[name] = null;
    this.#build();
    this.#style();
    if (view) this.chart.timeScale().setVisibleLogicalRange(view);
    return this.studies.has(study);
  }

  screenshot() {
    return this.chart.takeScreenshot();
  }

  /** Say when the forming kline ends, on the price line. */
  countdown(words) {
    const last = this.bars.at(-1);
    if (!last) return;
    const up = last.close >= last.open, own = colours();
    const look = { price: last.close, color: up ? own.up : own.down, lineWidth: 1, lineStyle: 2, axisLabelVisible: true, title: words };
    if (this.line) this.line.applyOptions(look);
    else this.line = this.candles.createPriceLine(look);
  }

  values(time) {
    return time === undefined ? this.lastValues : this.valuesAt.get(time);
  }

  // ---- inside ----

  #fitting() {
    return Math.max(40, Math.floor(this.node.clientWidth / 8));
  }

  #build() {
    const { L, chart, studies } = this;
    this.candles = chart.addSeries(L.CandlestickSeries, { lastValueVisible: false, priceLineVisible: false });
    this.candles.priceScale().applyOptions({ scaleMargins: { top: 0.08, bottom: 0.2 } });
    this.shade = chart.addSeries(L.HistogramSeries, { priceScaleId: "shade", lastValueVisible: false, priceLineVisible: false });
    chart.priceScale("shade").applyOptions({ scaleMargins: { top: 0, bottom: 0 }, visible: false });
    const line = (pane, options) => chart.addSeries(L.LineSeries, {
      lineWidth: 1, lastValueVisible: false, priceLineVisible: false, crosshairMarkerVisible: false, ...options,
    }, pane);
    if (studies.has("volume")) {
      this.volume = chart.addSeries(L.HistogramSeries, { priceScaleId: "volume", priceFormat: { type: "volume" }, lastValueVisible: false, priceLineVisible: false });
      chart.priceScale("volume").applyOptions({ scaleMargins: { top: 0.84, bottom: 0 } });
    }
    if (studies.has("bollinger")) this.bands = { upper: line(0), middle: line(0, { lineStyle: 2 }), lower: line(0) };
    let pane = 1;
    if (studies.has("macd")) {
      this.macd = {
        histogram: chart.addSeries(L.HistogramSeries, { lastValueVisible: false, priceLineVisible: false }, pane),
        macd: line(pane, { lineWidth: 2 }), signal: line(pane),
      };
      this.macdPane = pane++;
    }
    if (studies.has("rsi")) {
      this.rsi = line(pane, { lineWidth: 2, priceFormat: { type: "custom", minMove: 1, formatter: (x) => x.toFixed(0) }, autoscaleInfoProvider: () => ({ priceRange: { minValue: 10, maxValue: 90 } }) });
      this.rsiLines = [70, 30].map((price) => this.rsi.createPriceLine({ price, lineWidth: 1, lineStyle: 1, axisLabelVisible: false }));
      this.rsiPane = pane++;
    }
    chart.panes().forEach((one, n) => one.setStretchFactor(n ? 0.22 : 1));
    this.markers = L.createSeriesMarkers(this.candles, []);
  }

  #take(bars) {
    this.bars = ascending(bars).slice(-MOST_BARS);
    this.byTime = new Map(this.bars.map((bar) => [bar.time, bar]));
    this.state = { bands: new Bollinger(), macd: new Macd(), rsi: new Rsi() };
    this.valuesAt = new Map();
    const points = { upper: [], middle: [], lower: [], histogram: [], macd: [], signal: [], rsi: [] };
    const own = colours();
    for (const bar of this.bars) {
      const values = this.#advance(bar);
      for (const [name, value] of Object.entries(values)) {
        if (value === null) points[name].push({ time: bar.time });
        else points[name].push(name === "histogram" ? { time: bar.time, value, color: value >= 0 ? own.upSoft : own.downSoft } : { time: bar.time, value });
      }
    }
    this.candles.applyOptions({ priceFormat: { type: "price", precision: this.places, minMove: 10 ** -this.places } });
    this.candles.setData(this.bars.map((bar) => this.#candle(bar, own)));
    this.volume?.setData(this.bars.map((bar) => this.#volume(bar, own)));
    for (const name of ["upper", "middle", "lower"]) this.bands?.[name].setData(points[name]);
    for (const name of ["histogram", "macd", "signal"]) this.macd?.[name].setData(points[name]);
    this.rsi?.setData(points.rsi);
    this.#drawHoles();
    this.#drawMarks();
  }

  // The forming bar is computed on copies: it comes many times before it counts.
  #advance(bar) {
    const before = this.state;
    const own = { bands: before.bands.copy(), macd: before.macd.copy(), rsi: before.rsi.copy() };
    const bands = own.bands.update(bar.close), macd = own.macd.update(bar.close), rsi = own.rsi.update(bar.close);
    if (!bar.forming) this.state = own;
    const values = {
      upper: bands?.upper ?? null, middle: bands?.middle ?? null, lower: bands?.lower ?? null,
      histogram: macd?.histogram ?? null, macd: macd?.macd ?? null, signal: macd?.signal ?? null,
      rsi: rsi?.value ?? null,
    };
    this.valuesAt.set(bar.time, values);
    if (this.valuesAt.size > MOST_BARS) this.valuesAt.delete(this.valuesAt.keys().next().value);
    this.lastValues = values;
    return values;
  }

  #draw(bar) {
    const own = colours(), time = bar.time;
    const values = this.#advance(bar);
    this.candles.update(this.#candle(bar, own));
    this.volume?.update(this.#volume(bar, own));
    for (const name of ["upper", "middle", "lower"]) if (values[name] !== null) this.bands?.[name].update({ time, value: values[name] });
    if (values.macd !== null && this.macd) {
      this.macd.histogram.update({ time, value: values.histogram, color: values.histogram >= 0 ? own.upSoft : own.downSoft });
      this.macd.macd.update({ time, value: values.macd });
      this.macd.signal.update({ time, value: values.signal });
    }
    if (values.rsi !== null) this.rsi?.update({ time, value: values.rsi });
  }

  #candle(bar, own) {
    const { time, open, high, low, close } = bar;
    // Incomplete ones are drawn in the colour of doubt.
    const doubt = bar.complete || bar.forming ? {} : { borderColor: own.warn, wickColor: own.warn };
    return { time, open, high, low, close, ...doubt };
  }

  #volume(bar, own) {
    return { time: bar.time, value: bar.volume, color: bar.close >= bar.open ? own.upSoft : own.downSoft };
  }

  #drawMarks() {
    if (!this.studies.has("signals")) return;
    const own = colours(), first = this.bars[0]?.time ?? Infinity, last = this.bars.at(-1)?.time ?? 0;
    const shapes = {
      long: { position: "belowBar", shape: "arrowUp", color: own.up, text: "L" },
      short: { position: "aboveBar", shape: "arrowDown", color: own.down, text: "S" },
      flat: { position: "aboveBar", shape: "square", color: own.cross, text: "F" },
    };
    const shown = this.marks.filter((m) => m.time >= first && m.time <= last).sort((a, b) => a.time - b.time);
    this.markers.setMarkers(shown.map((m) => ({ time: this.#snap(m.time), ...shapes[m.side], size: 1 })));
  }

  // The bar that holds a time: marks of a shorter interval belong to it.
  #snap(time) {
    let low = 0, high = this.bars.length - 1;
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (this.bars[middle].time <= time) low = middle;
      else high = middle - 1;
    }
    return this.bars[low].time;
  }

  #drawHoles() {
    if (!this.studies.has("gaps") || !this.bars.length) return;
    const own = colours();
    const step = this.bars.length > 1 ? this.bars[1].time - this.bars[0].time : 60;
    const inside = (bar, hole) => hole.from < bar.time + step && hole.to >= bar.time;
    this.shade.setData(this.bars.map((bar) => {
      const hole = this.holes.find((one) => inside(bar, one));
      if (hole) return { time: bar.time, value: 1, color: hole.healed ? own.healed : own.gap };
      return { time: bar.time };
    }));
  }

  #hover(at) {
    const bar = at?.time === undefined ? null : this.byTime.get(at.time);
    const marks = bar ? this.marks.filter((m) => this.#snap(m.time) === bar.time) : [];
    this.onHover?.(bar, marks, at?.point);
  }

  #tick(time, type) {
    const words = format.stamp(time * 1000, true);
    if (type <= 1) return words.slice(0, 7);
    if (type === 2) return words.slice(5, 10);
    return type === 3 ? words.slice(11, 16) : words.slice(11);
  }

  #style() {
    const own = colours(), { L } = this;
    this.chart.applyOptions({
      layout: { background: { type: L.ColorType.Solid, color: own.panel }, textColor: own.text, panes: { separatorColor: own.line, separatorHoverColor: own.line } },
      grid: { vertLines: { color: own.grid }, horzLines: { color: own.grid } },
      crosshair: { vertLine: { color: own.cross, labelBackgroundColor: own.cross }, horzLine: { color: own.cross, labelBackgroundColor: own.cross } },
    });
    // Rising ones are hollow, falling ones filled: nobody needs the colour.
    this.candles.applyOptions({ upColor: own.panel, downColor: own.down, borderUpColor: own.up, borderDownColor: own.down, wickUpColor: own.up, wickDownColor: own.down });
    if (this.bands) {
      this.bands.upper.applyOptions({ color: own.band });
      this.bands.lower.applyOptions({ color: own.band });
      this.bands.middle.applyOptions({ color: own.bandSoft });
    }
    if (this.macd) {
      this.macd.macd.applyOptions({ color: own.a });
      this.macd.signal.applyOptions({ color: own.b });
    }
    this.rsi?.applyOptions({ color: own.a });
    this.rsiLines?.forEach((line) => line.applyOptions({ color: own.cross, axisLabelColor: own.cross }));
    if (this.bars.length) this.#take(this.bars);
  }
}
