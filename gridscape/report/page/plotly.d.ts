// What the page uses of plotly.js, which stands in it as a script of its own.

declare const Plotly: {
  react(host: Element, traces: Array<any>, layout: any, settings: any): void;
  relayout(host: Element, update: any): void;
  downloadImage(figure: any, settings: any): void;
};
