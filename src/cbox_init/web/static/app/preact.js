// The one place that knows where Preact and htm are. Every module imports from here.
//
//   html`<${Button} onClick=${f}>Save</${Button}>`   a component, a text, a list
//   useState, useEffect, useMemo, useRef, useCallback, useLayoutEffect, useReducer   hooks
//   memo(Component)   draws again only when a property has changed (compared with Object.is)
import { Component, Fragment, createRef, h, render } from "../vendor/preact/preact.js";
import htm from "../vendor/htm/htm.js";

export {
  useCallback, useEffect, useLayoutEffect, useMemo, useReducer, useRef, useState,
} from "../vendor/preact/hooks.js";
export { Component, Fragment, createRef, h, render };

export const html = htm.bind(h);

export function memo(Drawn) {
  class Memo extends Component {
    shouldComponentUpdate(next) {
      const now = this.props;
      for (const key in next) if (!Object.is(now[key], next[key])) return true;
      for (const key in now) if (!(key in next)) return true;
      return false;
    }
    render(props) {
      return h(Drawn, props);
    }
  }
  return Memo;
}
