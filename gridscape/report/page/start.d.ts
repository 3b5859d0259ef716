// What html.py puts around the scripts: all but start.js lie in the function that it calls.

declare const results: string;
declare function start(results: string): void;
