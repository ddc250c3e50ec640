// Runs an .http file as httpYac would: variables, the script before each request, names of answers. Tells statuses.
//
//     node http_file.mjs FILE HOST KEY
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { setTimeout as pause } from "node:timers/promises";

const [file, host, key] = process.argv.slice(2);
const [head, ...parts] = readFileSync(file, "utf8").split(/^###.*$/m);
const values = { require: createRequire(import.meta.url), Buffer };
for (const [, name, value] of head.matchAll(/^@(\w+)=(.*)$/gm)) values[name] = value;
Object.assign(values, { host, key });
const [, script] = head.match(/^\{\{@request\n([\s\S]*?)^\}\}$/m);

const evaluate = (code) => new Function(...Object.keys(values), `return ${code}`)(...Object.values(values));
const filled = (text) => text.replace(/\{\{(.+?)\}\}/g, (_, code) => evaluate(code));

async function send(part) {
  const lines = part.trim().split("\n").filter((line) => !line.startsWith("#"));
  const empty = lines.indexOf("");
  const [first, ...headers] = empty < 0 ? lines : lines.slice(0, empty);
  const [method, url] = filled(first).match(/^(\w+) (.+)$/).slice(1);
  const body = empty < 0 ? undefined : filled(lines.slice(empty + 1).join("\n"));
  const request = { method, url, body, headers: Object.fromEntries(headers.map((line) => line.split(": "))) };
  new Function("request", ...Object.keys(values), script)(request, ...Object.values(values));
  const response = await fetch(url, request);
  const text = await response.text();
  return { method, path: new URL(url).pathname, status: response.status, text };
}

const told = [];
for (const part of parts) {
  const name = part.match(/^# @name (\w+)$/m)?.[1];
  let answer = await send(part);
  // What a person does who reads the line above it: once more.
  for (let tries = 0; name === "worker" && JSON.parse(answer.text).offers.length < 3 && tries < 60; tries += 1) {
    await pause(250);
    answer = await send(part);
  }
  if (name) values[name] = JSON.parse(answer.text);
  told.push(answer);
}
console.log(JSON.stringify(told));
