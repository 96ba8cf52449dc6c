namespace RawDiffusion.Tests;

[CollectionDefinition(nameof(WorkersTests))]
public class WorkersTests
{
}
