namespace RawDiffusion.Tests;

/// <summary>Tests that look at counters of the whole process: no other test runs meanwhile. Use as <c>[Collection(nameof(Alone))]</c>.</summary>
[CollectionDefinition(nameof(Alone), DisableParallelization = true)]
public class Alone;
