// The operator's four questions, each a button with its answer that charts what it is made of.

import { figure, span } from "./figures.js";

// `told`: what the collector answers; `figure` and `words` of it, and the question that it opens.
const QUESTIONS = [
  {
    id: "waiting",
    title: "Jobs waiting",
    figure: ({ waiting }) => figure(waiting.jobs),
    words: ({ waiting }) => waiting.jobs === null
      ? "not measured in the last minute"
      : waiting.jobs === 0 ? "now, in no queue" : `now, in ${some(waiting.queues, "queue")}`,
    opens: { metric: "router.queue.length", aggregation: "max", split: "router.queue.id", filters: {} },
  },
  {
    id: "longest",
    title: "Longest wait",
    figure: ({ longestWait }) => figure(longestWait.seconds, "s"),
    words: ({ longestWait }) => longestWait.seconds === null
      ? "not measured in the last minute"
      : longestWait.queue === null ? "now, nobody waits" : `now, in queue ${longestWait.queue}`,
    opens: { metric: "router.queue.longest_wait", aggregation: "max", split: "router.queue.id", filters: {} },
  },
  {
    id: "offer",
    title: "Time to offer",
    figure: ({ timeToOffer }) => figure(timeToOffer.average, "s"),
    words: ({ timeToOffer }, window) => timeToOffer.offers === 0
      ? `no offer in the last ${window}`
      : `average of the last ${window}, ${figure(timeToOffer.longest, "s")} at most`,
    opens: { metric: "router.offer.time_to_offer", aggregation: "avg", split: "", filters: {} },
  },
  {
    id: "failed",
    title: "Failed requests",
    figure: ({ requests }) => figure(requests.failed),
    words: ({ requests }, window) => requests.all === 0
      ? `no request in the last ${window}`
      : `of ${figure(requests.all)} in the last ${window}; ${figure(requests.refused)} refused (4xx)`,
    bad: ({ requests }) => requests.failed > 0,
    opens: { metric: "ApiRequestRouter", aggregation: "rate", split: "Operation", filters: { StatusSubClass: ["5xx"] } },
  },
];

export class Answers {
  #cards;

  constructor(host, open) {
    this.#cards = QUESTIONS.map((question) => {
      const card = document.createElement("button");
      card.type = "button";
      card.className = "tile answer";
      card.dataset.answer = question.id;
      const title = document.createElement("span");
      title.textContent = question.title;
      const number = document.createElement("b");
      number.textContent = "–";
      card.append(title, number, document.createElement("span"));
      card.addEventListener("click", () => open(structuredClone(question.opens)));
      return card;
    });
    host.replaceChildren(...this.#cards);
  }

  // `question`: what the chart shows now.
  show(told, question) {
    QUESTIONS.forEach((asked, at) => {
      const card = this.#cards[at];
      card.querySelector("b").textContent = asked.figure(told);
      card.lastChild.textContent = asked.words(told, span(Number(question.window)));
      card.dataset.bad = String(asked.bad?.(told) ?? false);
      const open = Object.entries(asked.opens).every(([key, value]) => JSON.stringify(question[key]) === JSON.stringify(value));
      card.setAttribute("aria-pressed", String(open));
    });
  }
}

function some(count, what) {
  return `${figure(count)} ${what}${count === 1 ? "" : "s"}`;
}
