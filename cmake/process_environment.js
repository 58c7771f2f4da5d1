// What getenv finds in a program that node runs: Emscripten has a fixed environment of its own.
Module['preRun'] = [].concat(Module['preRun'] || [], function () {
    // Only a program that calls getenv has an ENV.
    if (typeof ENV !== 'undefined') Object.assign(ENV, process.env);
});
