// Starts DataTables on every table; what it is told stands in the table's data-options.
const source = JSON.parse(document.getElementById("datatables").textContent);
const address = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
const { default: DataTable, set_or_remove_dark_class } = await import(address);
URL.revokeObjectURL(address);
set_or_remove_dark_class();
for (const table of document.querySelectorAll("table.rows")) {
  const { headlines, ...options } = JSON.parse(table.dataset.options);
  new DataTable(table, {
    paging: false, info: false, autoWidth: false, order: [], ...options,
    layout: {
      topStart: { buttons: [
        { extend: "colvisGroup", text: "Headline values", ...headlines },
        { extend: "colvisGroup", text: "Every value", show: ":hidden" },
        { extend: "colvis", text: "Columns", background: false },
      ] },
      topEnd: options.searching ? "search" : null,
      bottomStart: null, bottomEnd: null,
    },
    language: { search: "", searchPlaceholder: "Filter rows" },
  });
}
