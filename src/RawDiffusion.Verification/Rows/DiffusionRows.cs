namespace RawDiffusion.Verification.Rows;

internal static class DiffusionRows
{
    public static IEnumerable<OperationCase> Cases()
    {
        yield break;
    }
}
