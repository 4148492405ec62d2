"use strict";
(async () => {
  const figures = [...document.querySelectorAll("figure.card")].map((figure) => ({
    place: figure.querySelector(".plot"),
    ...JSON.parse(figure.querySelector("script").textContent),
  }));
  if (!figures.length) return;
  const packed = Uint8Array.from(atob(document.getElementById("library").textContent), (c) => c.charCodeAt(0));
  const unpacked = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const library = document.createElement("script");
  library.textContent = await new Response(unpacked).text();
  document.head.append(library);

  const root = getComputedStyle(document.documentElement);
  const touch = matchMedia("(pointer: coarse)").matches;
  const config = { responsive: true, displaylogo: false, displayModeBar: touch ? false : "hover" };
  const theme = () => {
    const [text, soft, line, card] = ["--text", "--soft", "--line", "--card"].map((name) => root.getPropertyValue(name));
    const axis = { gridcolor: line, linecolor: line, zerolinecolor: line, tickcolor: line };
    return {
      font: { color: soft, family: "system-ui, sans-serif", size: 12 },
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      hoverlabel: { bgcolor: card, bordercolor: line, font: { color: text } },
      modebar: { bgcolor: "rgba(0,0,0,0)", color: soft, activecolor: text },
      axis,
      cells: { color: text },
    };
  };
  const axis = () => document.querySelector("input[name=axis]:checked");
  const isLog = () => document.getElementById("log")?.checked;

  const draw = async (figure) => {
    const { axis: axisTheme, cells, ...rest } = theme();
    const layout = { ...figure.layout, ...rest };
    // a finger that is put on a chart scrolls the page
    layout.dragmode = touch ? false : "zoom";
    layout.xaxis = { ...layout.xaxis, ...axisTheme };
    layout.yaxis = { ...layout.yaxis, ...axisTheme };
    let data = figure.data;
    if (figure.axes) {
      const across = axis();
      layout.xaxis.title = { text: across.dataset.title, standoff: 6 };
      layout.yaxis.type = isLog() ? "log" : "linear";
      const other = figure.axes[across.value];
      if (other) data = data.map((trace, i) => ({ ...trace, x: other[i] }));
    }
    data = data.map((trace) => (trace.texttemplate ? { ...trace, textfont: cells } : trace));
    layout.showlegend = data.length > 1;
    await Plotly.react(figure.place, data, layout, config);
  };
  const drawAll = async () => {
    for (const figure of figures) await draw(figure);
    document.documentElement.dataset.drawn = figures.length;
  };
  for (const input of document.querySelectorAll("nav input")) input.addEventListener("change", drawAll);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  await drawAll();
})();
