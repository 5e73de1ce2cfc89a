// A form from a JSON schema of parameters: one field each, checked by the browser first and by the
// API in the end; what it says of a field stands beside that field.

import { h } from "./dom.js";

/** The plain schema of a property: references followed, "or null" remembered. */
export function plain(schema, root) {
  if (schema.$ref) {
    const name = schema.$ref.split("/").at(-1);
    return plain({ ...root.$defs?.[name], ...schema, $ref: undefined }, root);
  }
  const choices = schema.anyOf ?? schema.oneOf;
  if (choices) {
    const real = choices.filter((one) => one.type !== "null");
    if (real.length === 1) return { ...plain(real[0], root), ...schema, anyOf: undefined, oneOf: undefined, nullable: real.length < choices.length };
  }
  if (schema.allOf?.length === 1) return plain({ ...schema.allOf[0], ...schema, allOf: undefined }, root);
  return schema;
}

/** Read a field's text as what its schema wants; undefined: it was left empty. */
export function valueOf(schema, input) {
  if (schema.type === "boolean") return input.checked;
  const said = input.value.trim();
  if (said === "") return undefined;
  if (schema.type === "integer" || schema.type === "number") return Number(said);
  if (schema.enum || schema.type === "string") return said;
  return JSON.parse(said);
}

function bounds(s) {
  const found = {};
  if (s.minimum !== undefined) found.min = s.minimum;
  if (s.maximum !== undefined) found.max = s.maximum;
  if (s.type === "integer") found.step = 1;
  else if (s.type === "number") found.step = "any";
  return found;
}

function range(s) {
  const words = [];
  if (s.exclusiveMinimum !== undefined) words.push(`above ${s.exclusiveMinimum}`);
  if (s.minimum !== undefined) words.push(`at least ${s.minimum}`);
  if (s.exclusiveMaximum !== undefined) words.push(`below ${s.exclusiveMaximum}`);
  if (s.maximum !== undefined) words.push(`at most ${s.maximum}`);
  return words.join(", ");
}

function control(name, s, value) {
  const id = `p-${name}`;
  const shown = value ?? s.default;
  if (s.type === "boolean") return h("input", { id, type: "checkbox", checked: Boolean(shown) });
  if (s.enum) {
    return h("select", { id }, s.enum.map((one) => h("option", { value: String(one), selected: one === shown }, String(one))));
  }
  if (s.type === "integer" || s.type === "number") {
    return h("input", { id, type: "number", inputmode: "decimal", value: shown === undefined || shown === null ? "" : String(shown), ...bounds(s) });
  }
  if (s.type === "string") return h("input", { id, type: "text", value: shown ?? "", spellcheck: "false" });
  return h("textarea", { id, rows: 2, spellcheck: "false" }, shown === undefined ? "" : JSON.stringify(shown));
}

export class Form {
  /** `values`: those that differ from the defaults. */
  constructor(schema, values = {}) {
    this.fields = new Map();
    this.node = h("div.fields", Object.entries(schema.properties ?? {}).map(([name, raw]) => {
      const s = plain(raw, schema);
      const input = control(name, s, values[name]);
      const error = h("span.error", { id: `e-${name}` });
      input.setAttribute("aria-describedby", `d-${name} e-${name}`);
      this.fields.set(name, { s, input, error, required: schema.required?.includes(name) });
      return h("div.field", h("label", { for: `p-${name}` }, name.replaceAll("_", " ")), input, error,
        h("span.dim", { id: `d-${name}` }, [s.description, range(s)].filter(Boolean).join(" ")));
    }));
    if (!this.fields.size) this.node.append(h("p.dim", "It has no parameters."));
  }

  /** The parameters that differ from the defaults, or null where one cannot be read. */
  values() {
    const found = {};
    let fine = true;
    for (const [name, field] of this.fields) {
      field.error.textContent = "";
      field.input.setAttribute("aria-invalid", "false");
      try {
        if (!field.input.checkValidity()) throw new Error(field.input.validationMessage);
        const value = valueOf(field.s, field.input);
        if (value === undefined) {
          if (field.required) throw new Error("it is needed");
        } else if (JSON.stringify(value) !== JSON.stringify(field.s.default)) found[name] = value;
      } catch (error) {
        this.blame(name, error.message);
        fine = false;
      }
    }
    return fine ? found : null;
  }

  /** All parameters as they stand, defaults too: for changes of one that runs. */
  all() {
    const own = this.values();
    if (!own) return null;
    for (const [name, field] of this.fields) {
      const value = valueOf(field.s, field.input);
      if (value !== undefined) own[name] = value;
    }
    return own;
  }

  /** Put what is wrong beside its field; false: it has no such field. */
  blame(name, words) {
    const field = this.fields.get(name);
    if (!field) return false;
    field.error.textContent = words;
    field.input.setAttribute("aria-invalid", "true");
    field.input.focus();
    return true;
  }
}
