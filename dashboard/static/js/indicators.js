// The lines of the chart, updated kline by kline like those of the flow. Pure.
// Formulas and starts are those of docs/reference/indicators.md.

/** Simple mean and population deviation over a window: Bollinger (2002). */
export class Bollinger {
  constructor(period = 20, width = 2) {
    this.period = period;
    this.width = width;
    this.window = [];
  }

  update(close) {
    this.window.push(close);
    if (this.window.length > this.period) this.window.shift();
    if (this.window.length < this.period) return null;
    const mean = this.window.reduce((a, b) => a + b, 0) / this.period;
    const variance = this.window.reduce((a, b) => a + (b - mean) ** 2, 0) / this.period;
    const off = this.width * Math.sqrt(variance);
    return { upper: mean + off, middle: mean, lower: mean - off };
  }

  copy() {
    const other = new Bollinger(this.period, this.width);
    other.window = this.window.slice();
    return other;
  }
}

/** Relative strength index, Wilder's smoothing (1978). */
export class Rsi {
  constructor(period = 14) {
    this.period = period;
    this.count = 0;
    this.before = null;
    this.up = 0;
    this.down = 0;
  }

  update(close) {
    if (this.before === null) {
      this.before = close;
      return null;
    }
    const move = close - this.before;
    this.before = close;
    this.count += 1;
    const up = Math.max(0, move), down = Math.max(0, -move), n = this.period;
    if (this.count <= n) {
      this.up += up / n;
      this.down += down / n;
    } else {
      this.up += (up - this.up) / n;
      this.down += (down - this.down) / n;
    }
    if (this.count < n) return null;
    const all = this.up + this.down;
    return { value: all ? (100 * this.up) / all : 50 };
  }

  copy() {
    return Object.assign(new Rsi(this.period), this);
  }
}

/** Exponential mean that begins with the simple mean of its first window. */
export class Ema {
  constructor(period) {
    this.period = period;
    this.count = 0;
    this.value = 0;
  }

  update(x) {
    this.count += 1;
    if (this.count <= this.period) {
      this.value += x / this.period;
      return this.count < this.period ? null : this.value;
    }
    this.value += (2 / (this.period + 1)) * (x - this.value);
    return this.value;
  }

  copy() {
    return Object.assign(new Ema(this.period), this);
  }
}

/** Moving average convergence/divergence (Appel 1979); both means begin at the slow one's start. */
export class Macd {
  constructor(fast = 12, slow = 26, signal = 9) {
    this.lag = slow - fast;
    this.seen = 0;
    this.fast = new Ema(fast);
    this.slow = new Ema(slow);
    this.smooth = new Ema(signal);
  }

  update(close) {
    this.seen += 1;
    const fast = this.seen > this.lag ? this.fast.update(close) : null;
    const slow = this.slow.update(close);
    if (slow === null || fast === null) return null;
    const macd = fast - slow;
    const signal = this.smooth.update(macd);
    return signal === null ? null : { macd, signal, histogram: macd - signal };
  }

  copy() {
    const other = Object.assign(new Macd(), this);
    other.fast = this.fast.copy();
    other.slow = this.slow.copy();
    other.smooth = this.smooth.copy();
    return other;
  }
}
