// What the page uses of plotly.js, which stands in it as a script of its own.

interface SavedFigure {
  data: Array<Trace>;
  layout: Layout;
  config?: Settings;
}

declare const Plotly: {
  react(host: Plot, traces: Array<Trace>, layout: Layout, settings: Settings): void;
  relayout(host: Plot, update: Settings): void;
  downloadImage(figure: SavedFigure, settings: Settings): void;
};
