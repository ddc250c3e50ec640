// The dialog in which an act is confirmed, and in which it is told what has changed where it fails.

import { ACTS, Changed, differences } from "./acts.js";
import { Unreachable } from "./api.js";
import { may } from "./session.js";
import { useLive } from "./store.js";
import { html, Icon } from "./ui.js";
import { useEffect, useLayoutEffect, useRef, useState } from "./vendor/hooks.js";

let show = () => {};
let say = () => {};

/** `after` shows what is there now; it is awaited. */
export function openAct(name, subject, after = async () => {}) {
  show({ name, subject, after, opened: Date.now() });
}

/** Buttons for the acts that make sense now and that the caller's rights allow. */
export function Acts({ names, subject, workerId = null, after, small = false }) {
  const offered = names.filter((name) => may(name, workerId) && ACTS[name].allowed(subject));
  return offered.map(
    (name) => html`<button
      key=${name}
      type="button"
      class=${small ? "small" : ""}
      data-act=${name}
      data-tone=${ACTS[name].tone ?? "plain"}
      aria-label=${small ? ACTS[name].title(subject) : undefined}
      onClick=${() => openAct(name, subject, after)}
    ><${Icon} name=${ACTS[name].icon} />${ACTS[name].label}</button>`,
  );
}

export function Dialogs() {
  const [open, change] = useState(null);
  const [said, tell] = useState(null);
  show = change;
  say = (text) => tell({ text, at: Date.now() });
  useEffect(() => {
    if (!said) return undefined;
    const ending = setTimeout(() => tell(null), 6000);
    return () => clearTimeout(ending);
  }, [said]);
  return html`
    ${open && html`<${Confirm} key=${open.opened} ...${open} close=${() => change((now) => (now === open ? null : now))} />`}
    <div class="said" role="status" aria-live="polite">${said && html`<p><${Icon} name="check" />${said.text}</p>`}</div>
  `;
}

function Confirm({ name, subject: first, after, close }) {
  const act = ACTS[name];
  const { snapshot } = useLive();
  const [subject, look] = useState(first);
  // Queues may come while one looks; what a field began with stays.
  const fields = act.fields(first, { queues: snapshot?.queues ?? [] });
  const begun = useRef({});
  for (const { name: field, kind, value } of fields) {
    if (!(field in begun.current) || (kind === "select" && begun.current[field] === "")) begun.current[field] = value;
  }
  const [filled, fill] = useState({});
  const values = { ...begun.current, ...filled };
  const [trouble, tell] = useState(null);
  const [busy, work] = useState(false);
  const box = useRef(null);

  useLayoutEffect(() => {
    const from = document.activeElement;
    const beside = from?.closest(".acts");
    const dialog = box.current;
    dialog.showModal();
    (dialog.querySelector("input, select") ?? dialog.querySelector("button[type=submit]")).focus();
    return () => {
      // While it is open nothing behind it takes the focus.
      dialog.close();
      const next = [from, beside?.isConnected && beside.querySelector("button"), document.getElementById("main")].find((one) => one?.isConnected);
      next?.focus();
    };
  }, []);

  // The button that was pressed has gone.
  useLayoutEffect(() => (trouble || subject !== first) && box.current.querySelector(".buttons button:last-child").focus(), [trouble, subject]);

  async function confirm(event) {
    event.preventDefault();
    work(true);
    tell(null);
    try {
      await act.run(subject, values);
    } catch (error) {
      work(false);
      tell(error);
      after();
      return;
    }
    say(act.done(subject, values));
    // The page behind shows what is there now before anything else can be done to it.
    await after();
    close();
  }

  const gone = trouble instanceof Changed && !trouble.fresh;
  return html`<dialog ref=${box} aria-labelledby="act-title" aria-describedby="act-words" onCancel=${close} onClose=${close}>
    <form onSubmit=${confirm}>
      <h2 id="act-title">${act.title(first)}</h2>
      <p id="act-words" class="quiet">${act.words}</p>
      ${fields.map((field) => html`<${Field} key=${field.name} field=${field} value=${values[field.name]} set=${(value) => fill((before) => ({ ...before, [field.name]: value }))} />`)}
      ${trouble && html`<${Trouble} error=${trouble} seen=${subject.seen} />`}
      <div class="buttons">
        <button type="button" class="plain" onClick=${close}>${gone ? "Close" : "Back"}</button>
        ${trouble instanceof Changed
          ? !gone && act.allowed({ ...subject, seen: trouble.fresh }) && html`<button key="go-on" type="button" data-tone="primary" onClick=${() => (look({ ...subject, seen: trouble.fresh }), tell(null))}>Go on from what is there now</button>`
          : html`<button key="confirm" type="submit" data-tone=${act.tone === "danger" ? "danger" : "primary"} disabled=${busy}>${busy ? "Working…" : act.confirm}</button>`}
      </div>
    </form>
  </dialog>`;
}

function Trouble({ error, seen }) {
  const lines = error instanceof Changed && error.fresh && seen ? differences(seen, error.fresh) : [];
  return html`<div class="trouble" role="alert">
    <p><${Icon} name="warn" /><b>Nothing was done.</b> ${error.message}</p>
    ${error instanceof Unreachable && html`<p>It is not known whether the router took it before it fell silent. Look again when it answers.</p>`}
    ${lines.length > 0 && html`<dl>${lines.map(([what, before, now]) => html`<div key=${what}><dt>${what}</dt><dd><s>${before}</s> <b>${now}</b></dd></div>`)}</dl>`}
    ${(error.details ?? []).map((one) => html`<p key=${one.message}>${one.message}</p>`)}
  </div>`;
}

function Field({ field, value, set }) {
  const id = `field-${field.name}`;
  if (field.kind === "check") {
    return html`<label class="check"><input type="checkbox" checked=${value} onChange=${(event) => set(event.target.checked)} />${field.label}</label>`;
  }
  if (field.kind === "checks") {
    return html`<fieldset><legend>${field.label}</legend>
      ${field.options.map(([option, words]) => html`<label key=${option} class="check"><input
        type="checkbox"
        value=${option}
        checked=${value.includes(option)}
        onChange=${(event) => set(event.target.checked ? [...value, option] : value.filter((one) => one !== option))}
      />${words}</label>`)}
    </fieldset>`;
  }
  return html`<div class="field">
    <label for=${id}>${field.label}</label>
    ${field.kind === "select"
      ? html`<select id=${id} name=${field.name} value=${value} required onChange=${(event) => set(event.target.value)}>
          ${field.options.map(([option, words]) => html`<option key=${option} value=${option} selected=${option === value}>${words}</option>`)}
        </select>`
      : html`<input
          id=${id}
          name=${field.name}
          type=${field.kind}
          value=${value}
          min=${field.min}
          max=${field.max}
          maxlength=${field.maxlength}
          required=${field.kind === "number" && !field.optional}
          autocomplete="off"
          aria-describedby=${field.hint ? `${id}-hint` : undefined}
          onInput=${(event) => set(event.target.value)}
        />`}
    ${field.hint && html`<p class="quiet" id="${id}-hint">${field.hint}</p>`}
  </div>`;
}
